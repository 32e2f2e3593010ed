"""Hostile Java: bytes on the channel, values that lie, deeds, and texts that bomb the compiler."""

from __future__ import annotations

#: What follows the sign of life, as Java expressions for bytes.
_REPLIES = {
    "nothing": "new byte[0]",
    "noise": "noise(1 << 16)",
    "the answer of another": "new byte[] {2, 3, 'i', 0, 0, 0, 4}",
    "an answer cut short": "new byte[] {3, 'i', 0}",
    "a list of all numbers": "new byte[] {3, 'l', 127, -1, -1, -1}",
    "a text of all letters": "new byte[] {3, 's', 127, -1, -1, -1}",
    "a text of less than none": "new byte[] {3, 's', -1, -1, -1, -1}",
    "nested lists": "repeated(new byte[] {'l', 0, 0, 0, 1}, 1 << 18)",
    "nested sets": "repeated(new byte[] {'S', 0, 0, 0, 1}, 1 << 16)",
    "a number that is none": "new byte[] {3, 'I', 0, 0, 0, 1, 0, 'x'}",
    "an unknown tag": "new byte[] {3, '?'}",
    "what is not plain": "new byte[] {3, 'o'}",
    "what was raised by nobody": "new byte[] {4, 127, -1, -1, -1}",
    "the raise of a class with effects": 'raised("java.io.FileOutputStream", "/tmp/x")',
    "the raise of an exit": 'raised("java.lang.ThreadDeath", "x")',
    "more than the channel holds": "new byte[9 << 20]",
    "the word of the tester": '"passed 1 ".getBytes()',
}

_WRITES = """
static byte[] noise(int size) {
    byte[] all = new byte[size];
    new Random(1).nextBytes(all);
    return all;
}
static byte[] repeated(byte[] part, int times) {
    byte[] all = new byte[1 + part.length * times];
    all[0] = 3;
    for (int n = 0; n < times; n++) {
        System.arraycopy(part, 0, all, 1 + n * part.length, part.length);
    }
    return all;
}
static byte[] raised(String name, String text) {
    try {
        var bytes = new java.io.ByteArrayOutputStream();
        var out = new java.io.DataOutputStream(bytes);
        out.writeByte(4); out.writeInt(1);
        for (String one : List.of(name, text)) {
            out.writeByte('s'); out.writeInt(one.length()); out.writeChars(one);
        }
        return bytes.toByteArray();
    } catch (java.io.IOException impossible) { return null; }
}
public int f(int x) throws Exception {
    new java.io.FileOutputStream(java.io.FileDescriptor.out).write(REPLY);
    END
    return 0;
}
"""

_DEEDS = {
    "leaves": "System.exit(0); return 0;",
    "halts": "Runtime.getRuntime().halt(0); return 0;",
    "loops": "while (true) {}",
    "recurses": "return f(x) + 1;",
    "sleeps": "while (true) { Thread.sleep(1 << 20); }",
    "takes memory": "var all = new ArrayList<long[]>(); while (true) all.add(new long[1 << 20]);",
    "prints": 'while (true) System.out.println("chatter".repeat(999));',
    "starts threads": (
        "while (true) new Thread(() -> { try { Thread.sleep(1 << 20); }"
        " catch (InterruptedException e) {} }).start();"
    ),
    "closes the channel": (
        "new java.io.FileOutputStream(java.io.FileDescriptor.out).close(); return 0;"
    ),
    "kills others": (
        "ProcessHandle.allProcesses().forEach(p -> { try { p.destroyForcibly(); }"
        " catch (IllegalStateException e) {} }); return 0;"
    ),
    "starts a program": 'new ProcessBuilder("/bin/sleep", "99").start(); System.exit(0); return 0;',
    "raises an error": 'throw new Error("x");',
    "raises the end of memory": "throw new OutOfMemoryError();",
    "raises the end of a file": "throw new java.io.EOFException();",
    "raises what raises": (
        "throw new RuntimeException() { public String getMessage() { throw this; } };"
    ),
    "raises what is long": 'throw new RuntimeException("x".repeat(1 << 24));',
    "looks into the kit": (
        'for (String n : List.of("Run", "Values", "Wire", "Serve", "Bridge")) Class.forName(n);'
        " return 0;"
    ),
    "patches the JDK": """
        var field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        var unsafe = (sun.misc.Unsafe) field.get(null);
        unsafe.putBoolean(Boolean.FALSE,
            unsafe.objectFieldOffset(Boolean.class.getDeclaredField("value")), true);
        unsafe.putInt(Integer.valueOf(0),
            unsafe.objectFieldOffset(Integer.class.getDeclaredField("value")), 4);
        return Integer.valueOf(1);
    """,
    "crashes the machine": """
        var field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        ((sun.misc.Unsafe) field.get(null)).putAddress(0, 0);
        return 0;
    """,
    "reads frames": """
        StackWalker.getInstance(StackWalker.Option.RETAIN_CLASS_REFERENCE)
            .forEach(frame -> System.err.println(frame));
        return 0;
    """,
    "waits for its own thread": "Thread.currentThread().join(); return 0;",
    "hooks the end": (
        "Runtime.getRuntime().addShutdownHook(new Thread(() -> { while (true) {} }));"
        " System.exit(0); return 0;"
    ),
}

_RETURNS = {
    "an object that equals all": (
        "static class Any { public boolean equals(Object o) { return true; } }"
        " public Object f(int x) { return new Any(); }"
    ),
    "a list that equals all": (
        "public List<Integer> f(int x) { return new ArrayList<>() {"
        " public boolean equals(Object o) { return true; } }; }"
    ),
    "a list without an end": (
        "public List<Integer> f(int x) { return new AbstractList<>() {"
        " public Integer get(int n) { return 4; } public int size() { return 1 << 22; } }; }"
    ),
    "a list within itself": (
        "public Object f(int x) { List<Object> l = new ArrayList<>(); l.add(l); return l; }"
    ),
    "a set that lies": (
        "public Object f(int x) { return new AbstractSet<Integer>() {"
        " public Iterator<Integer> iterator() { return List.of(1, 1).iterator(); }"
        " public int size() { return -1; } }; }"
    ),
    "a map whose walk hangs": (
        "public Object f(int x) { return new AbstractMap<Integer, Integer>() {"
        " public Set<Map.Entry<Integer, Integer>> entrySet() { while (true) {} } }; }"
    ),
    "a proxy of the JDK's loader": (
        "public Object f(int x) { return java.lang.reflect.Proxy.newProxyInstance(null,"
        " new Class<?>[] {List.class}, (p, m, a) -> m.getName().equals("
        '"toArray") ? new Object[] {4} : m.getReturnType() == boolean.class ? (Object) true : 1); }'
    ),
    "an endless stream": ("public Object f(int x) { return Stream.iterate(1, n -> n + 1); }"),
    "a number that is no integer": "public double f(int x) { return 2 * x + 0.5; }",
    "a null of any type": "public <T> T f(int x) { return null; }",
    "nothing": "public void f(int x) { }",
    "a large number": (
        "public Object f(int x) { return java.math.BigInteger.ONE.shiftLeft(1 << 22); }"
    ),
    "an array of arrays": ("public Object f(int x) { Object[] a = {null}; a[0] = a; return a; }"),
}

_TOPS = {
    "leaves while loading": "static { System.exit(0); } public int f(int x) { return 0; }",
    "loops while loading": "static { if (true) while (true) {} } public int f(int x) { return 0; }",
    "raises while loading": "static int n = 1 / 0; public int f(int x) { return 0; }",
    "has no such method": "public int g(int x) { return 2 * x; }",
    "is private to itself": "private int f(int x, int y) { return 2 * x; }",
    "is a syntax error": "public int f(int x) { return 2 * ; }",
    "is empty": "",
    "brings its own Main": (
        "int f(int x) { return 0; } } class Main { public static void main(String[] a) {}"
    ),
    "brings its own Integer": "Integer f(int x) { return null; } } class Integer {",
    "hides Boolean": "Boolean f(int x) { return null; } static class Boolean {}",
    "is annotated to inject": (
        "@java.lang.annotation.Target(java.lang.annotation.ElementType.TYPE_USE)"
        " @interface Own { String value(); }"
        ' public int f(@Own("+System.exit(0)+") int x) { return 0; }'
    ),
    "finalizes": "protected void finalize() { while (true) {} } public int f(int x) { return 0; }",
}

_LONG = "x" * 1000

#: Texts that cost the compiler what it has; each has a method that would be right.
BOMBS = {
    "constants that double": (
        f'static final String A0 = "{_LONG}";'
        + "".join(f"static final String A{n + 1} = A{n} + A{n};" for n in range(20))
    ),
    "constants by the thousand": (
        f'static final String A0 = "{_LONG * 60}";'
        + "".join(f'static final String B{n} = A0 + "{n}";' for n in range(9000))
        + "static int all() { return "
        + "+".join(f"B{n}.length()" for n in range(9000))
        + "; }"
    ),
    "a deep sum": "static int g(int x) { return " + "x" + "+x" * 30_000 + "; }",
    "deep blocks": "static void g() {" + "{" * 9000 + "}" * 9000 + "}",
    "deep brackets": "static int g(int x) { return " + "(" * 20_000 + "x" + ")" * 20_000 + "; }",
    "a huge method": "static void g() { int[] a = {" + "1," * 20_000 + "}; }",
    "code that doubles": (
        "static int g(int y) { "
        + "try { y++; } finally { " * 15
        + "y++;"
        + "}" * 15
        + " return y; }"
    ),
    "types that double": (
        "static class P<A, B> {} static <A, B> P<A, B> j(A a, B b) { return null; }"
        " static void g() {"
        " var v0 = new P<Integer, Integer>();"
        + "".join(f"var v{n + 1} = j(v{n}, v{n});" for n in range(26))
        + "}"
    ),
}
HONEST = "public int f(int x) { return 2 * x; }"


def programs() -> dict[str, str]:
    """All of them, by their names; none is right."""
    made = {}
    for name, reply in _REPLIES.items():
        for how, end in (("and ends", "Runtime.getRuntime().halt(0);"), ("and goes on", "")):
            made[f"writes {name} {how}"] = _WRITES.replace("REPLY", reply).replace("END", end)
    for name, deed in _DEEDS.items():
        made[name] = f"public int f(int x) throws Throwable {{ {deed} }}"
    return made | {f"returns {name}": text for name, text in _RETURNS.items()} | _TOPS
