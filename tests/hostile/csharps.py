"""Hostile C#: bytes on the channel, values that lie, deeds, and texts that bomb the compiler."""

from __future__ import annotations

_REPLIES = {
    "nothing": "new byte[0]",
    "noise": "Enumerable.Range(0, 9999).Select(n => (byte)(n * 7919)).ToArray()",
    "the answer of another": "new byte[] { 2, 3, (byte)'i', 0, 0, 0, 0, 0, 0, 0, 5 }",
    "an answer cut short": "new byte[] { 3, (byte)'i', 0 }",
    "a list of all numbers": "new byte[] { 3, (byte)'l', 127, 255, 255, 255 }",
    "a text of less than none": "new byte[] { 3, (byte)'s', 255, 255, 255, 255 }",
    "nested lists": "Repeated((byte)'l')",
    "nested sets": "Repeated((byte)'S')",
    "a number that is none": "new byte[] { 3, (byte)'I', 0, 0, 0, 1, 0, (byte)'x' }",
    "an unknown tag": "new byte[] { 3, (byte)'?' }",
    "what is not plain": "new byte[] { 3, (byte)'o' }",
    "what was raised by nobody": "new byte[] { 4, 127, 255, 255, 255 }",
    "more than the channel holds": "new byte[9 << 20]",
}

_WRITES = """
static byte[] Repeated(byte tag) => new byte[] { 3 }.Concat(
    Enumerable.Repeat(new byte[] { tag, 0, 0, 0, 1 }, 1 << 16).SelectMany(part => part)).ToArray();
static int f(int x) {
    byte[] reply = REPLY;
    var output = Console.OpenStandardOutput();
    output.Write(reply, 0, reply.Length);
    output.Flush();
    END
    return 0;
}
"""

_DEEDS = {
    "leaves": "Environment.Exit(0); return 0;",
    "fails fast": 'Environment.FailFast("x"); return 0;',
    "loops": "while (true) { }",
    "recurses": "return f(x) + 1;",
    "sleeps": "while (true) System.Threading.Thread.Sleep(1 << 20);",
    "takes memory": "var all = new List<long[]>(); while (true) all.Add(new long[1 << 20]);",
    "prints": "while (true) Console.Error.WriteLine(new string('x', 9999));",
    "starts threads": (
        "while (true) new System.Threading.Thread("
        "() => System.Threading.Thread.Sleep(1 << 20)).Start();"
    ),
    "closes the channel": "Console.OpenStandardOutput().Close(); Environment.Exit(0); return 0;",
    "raises": 'throw new Exception("x");',
    "raises what is long": "throw new Exception(new string('x', 1 << 24));",
    "raises the end of memory": "throw new OutOfMemoryException();",
    "dereferences nothing": "unsafe { return *(int*)0; }",
    "waits": "new System.Threading.ManualResetEvent(false).WaitOne(); return 0;",
    "kills by signal": 'kill(0, 9); return 0; } [System.Runtime.InteropServices.DllImport("libc")]'
    " static extern int kill(int pid, int signal); static void g() {",
    "ends by the library": "_exit(0); return 0; }"
    ' [System.Runtime.InteropServices.DllImport("libc")]'
    " static extern void _exit(int code); static void g() {",
    "hides memory": """
        while (true) {
            var place = mmap(IntPtr.Zero, (IntPtr)(1 << 26), 3, 0x21, -1, IntPtr.Zero);
            for (int n = 0; n < 1 << 26; n += 4096)
                System.Runtime.InteropServices.Marshal.WriteByte(place, n, 1);
            madvise(place, (IntPtr)(1 << 26), 4);
        }
        }
        [System.Runtime.InteropServices.DllImport("libc")]
        static extern IntPtr mmap(IntPtr a, IntPtr l, int p, int f, int d, IntPtr o);
        [System.Runtime.InteropServices.DllImport("libc")]
        static extern int madvise(IntPtr a, IntPtr l, int advice);
        static void g() {
    """,
}

_RETURNS = {
    "an object that equals all": (
        "class Any { public override bool Equals(object o) => true;"
        " public override int GetHashCode() => 4; } static object f(int x) => new Any();"
    ),
    "an endless sequence": ("static IEnumerable<int> f(int x) { while (true) yield return 4; }"),
    "a list within itself": (
        "static object f(int x) { var l = new List<object>(); l.Add(l); return l; }"
    ),
    "what prints for long": (
        "class Own { public override string ToString() { while (true) { } } }"
        " static object f(int x) => new Own();"
    ),
    "a number that is no integer": "static double f(int x) => 2 * x + 0.5;",
    "a large number": ("static object f(int x) => System.Numerics.BigInteger.Pow(2, 1 << 16);"),
    "nothing": "static void f(int x) { }",
    "null": "static int? f(int x) => null;",
    "a truth": "static bool f(int x) => true;",
    "text": 'static string f(int x) => (2 * x).ToString() + " ";',
    "a map whose walk raises": (
        "class Own : Dictionary<int, int>, System.Collections.IEnumerable {"
        " System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() =>"
        " throw new Exception(); }"
        " static object f(int x) => new Own();"
    ),
}

_TOPS = {
    "leaves while loading": (
        "static int n = Leave(); static int Leave() { Environment.Exit(0); return 0; }"
        " static int f(int x) => n;"
    ),
    "raises while loading": 'static int n = int.Parse("x"); static int f(int x) => n;',
    "leaves with the module": (
        "static int f(int x) => 0; [System.Runtime.CompilerServices.ModuleInitializer]"
        " internal static void Leave() => Environment.Exit(0);"
    ),
    "has no such method": "static int g(int x) => 2 * x;",
    "takes other parameters": "static int f(int x, int y) => 2 * x;",
    "is a syntax error": "static int f(int x) => 2 * ;",
    "is empty": "",
}

_LONG = "x" * 1000

BOMBS = {
    "constants that double": (
        f'const string A0 = "{_LONG}";'
        + "".join(f"const string A{n + 1} = A{n} + A{n};" for n in range(20))
    ),
    "types that double": (
        "static void g() { var v0 = (1, 1);"
        + "".join(f"var v{n + 1} = (v{n}, v{n});" for n in range(26))
        + "}"
    ),
    "types within types": (
        "class A<T1, T2, T3, T4, T5, T6> { class B : A<B, B, B, B, B, B> { B.B.B.B.B.B.B.B.B b; } }"
    ),
    "deep brackets": "static int g(int x) { return " + "(" * 9000 + "x" + ")" * 9000 + "; }",
    "a deep sum": "static int g(int x) { return 0" + "+x" * 20_000 + "; }",
    "deep blocks": "static void g() {" + "{" * 9000 + "}" * 9000 + "}",
}
HONEST = "static int f(int x) => 2 * x;"


def programs() -> dict[str, str]:
    """All of them, by their names; none is right."""
    made = {}
    for name, reply in _REPLIES.items():
        for how, end in (("and ends", "Environment.Exit(0);"), ("and goes on", "")):
            made[f"writes {name} {how}"] = _WRITES.replace("REPLY", reply).replace("END", end)
    for name, deed in _DEEDS.items():
        made[name] = f"static int f(int x) {{ {deed} }}"
    return made | {f"returns {name}": text for name, text in _RETURNS.items()} | _TOPS
