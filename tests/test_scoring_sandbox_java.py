"""Grading Java: a batch compiled together, each sample apart; forged results do not pass."""

from __future__ import annotations

import dataclasses

import pytest

from bench.errors import MachineError
from bench.records import Sample
from bench.scoring import execution
from bench.scoring.sandbox import java
from bench.scoring.sandbox.jail import Jail
from tests import grading
from tests.grading import cases, graded, outcomes

DOUBLE = [{"args": [2], "result": 4}, {"args": [5], "result": 10}]


@pytest.fixture(scope="module", autouse=True)
def _needs():
    grading.need("java")


@pytest.fixture(scope="module")
def verdicts(_needs):
    """Of every output that has a batch in common with others: forgeries and what is honest."""
    asked = {
        f"result {number}": (
            cases("java", [{"args": [], "result": value}], [], result),
            f"static {text}",
        )
        for number, (result, value, text) in enumerate(RESULTS)
    }
    asked |= {f"cases {name}": (double(), text) for name, text in FORGERIES.items()}
    asked |= {f"main {name}": (NUMBERS, text) for name, text in MAIN_FORGERIES.items()}
    return grading.together(asked)


def double():
    return cases("java", DOUBLE, ["int"], "int")


def main(test: str) -> Sample:
    check = {
        "kind": "java-main",
        "prelude": "import java.util.*;\nimport java.lang.*;\n\nclass Solution {\n",
        "epilogue": "\n}\n",
        "test": f"public class Main {{ public static void main(String[] args) {{\n{test}\n}} }}",
    }
    return Sample("main", grading.TRACKS["java"], {}, "", None, check)


NUMBERS = main(
    """
    Solution s = new Solution();
    List<Boolean> correct = Arrays.asList(
        s.f(2).equals(Arrays.asList(2, 4)),
        !s.f(3).equals(Arrays.asList(2, 4)));
    if (correct.contains(false)) { throw new AssertionError(); }
    """
)


def test_one_bad_unit_does_not_sink_the_rest():
    right, syntax, types, half, named = graded(
        double(),
        "static int f(int x) { return 2 * x; }",
        "static int f(int x) { return 2 * ; }",
        "static int f(int x) { return y; }",
        "static int f(int x) { return 4; }",
        "static int g(int x) { return 2 * x; }",
    )
    assert (right.outcome, right.cases_passed) == ("passed", 2)
    assert (syntax.outcome, types.outcome) == ("compile-error", "compile-error")
    assert "cannot find symbol" in types.detail
    assert (half.outcome, half.cases_passed) == ("failed", 1)
    assert named.outcome == "error"
    assert "NoSuchMethod" in named.detail


def test_what_a_model_writes_around_a_method_is_taken():
    assert (
        outcomes(
            double(),
            "import java.math.*;\n\nstatic int f(int x) { return BigInteger.TWO.intValue() * x; }",
            "public class Solution {\n    public static int f(int x) { return 2 * x; }\n}",
            "int f(int x) { return g(x) + g(x); }\nint g(int x) { return x; }",
            "static long f(long x) { return 2 * x; }",
            "static Integer f(Integer x) { return 2 * x; }",
        )
        == ["passed"] * 5
    )


def test_arguments_take_the_form_that_the_method_has():
    problem = cases(
        "java",
        [
            {
                "args": [[1, 2], {"a": [1.5]}, ["x", "y"], "é", None, True],
                "result": {"a": ["1", "x", "é", "true"]},
            }
        ],
        ["list[int]", "map[str,list[float]]", "set[char]", "str", "optional[int]", "bool"],
        "map[str,list[str]]",
    )
    body = """
        List<String> out = new ArrayList<>();
        out.add("" + first); out.add("" + mark); out.add(text); out.add("" + truth);
        if (factor != 1.5 || missing != null) return null;
        return Map.of("a", out);
        """
    boxed = (
        "static Map<String, List<String>> f(List<Integer> numbers, Map<String, List<Double>> table,"
        " Set<Character> marks, String text, Integer missing, boolean truth) {"
        'int first = numbers.get(0); double factor = table.get("a").get(0);'
        f"char mark = new TreeSet<>(marks).first();{body}}}"
    )
    bare = (
        "static Map<String, List<String>> f(int[] numbers, TreeMap<String, double[]> table,"
        " char[] marks, CharSequence chars, Object missing, Boolean truth) {"
        'int first = numbers[0]; double factor = table.get("a")[0]; String text = "" + chars;'
        f"char mark = marks[0];{body}}}"
    )
    loose = (
        "static <T> Map<String, List<String>> f(Iterable<T> numbers, Map<?, ?> table,"
        " Collection<? extends Character> marks, String text, Object missing, boolean truth) {"
        "T first = numbers.iterator().next(); double factor = (Double) ((List<?>)"
        ' table.get("a")).get(0);'
        f"char mark = marks.iterator().next();{body}}}"
    )
    assert [verdict.detail for verdict in graded(problem, boxed, bare, loose)] == [""] * 3


RESULTS = [
    ("list[int]", [1, 2], "int[] f() { return new int[] {1, 2}; }"),
    ("list[int]", [1, 2], "java.util.stream.Stream<Integer> f() { return Stream.of(1, 2); }"),
    ("set[str]", ["a", "b"], 'Set<String> f() { return Set.of("b", "a"); }'),
    ("map[char,int]", {"a": 1}, "Map<Character, Integer> f() { return Map.of('a', 1); }"),
    ("optional[int]", None, "Integer f() { return null; }"),
    ("optional[int]", 3, "Optional<Integer> f() { return Optional.of(3); }"),
    ("float", 0.1, "float f() { return 0.1f; }"),
    ("float", float("inf"), "double f() { return 1 / 0.0; }"),
    ("str", "\ud800é", 'String f() { return "\\ud800" + (char) 233; }'),
    ("char", "a", "char f() { return 'a'; }"),
    ("long", 2**40, "long f() { return 1L << 40; }"),
    ("any", [1, "a", 2.5], 'List<Object> f() { return List.of(1, "a", 2.5); }'),
]


@pytest.mark.parametrize("number", range(len(RESULTS)), ids=lambda number: RESULTS[number][2])
def test_results_of_every_type(verdicts, number):
    assert verdicts[f"result {number}"].detail == ""


def test_errors_that_are_due():
    due = [{"args": ["x"], "error": "value"}, {"args": ["1"], "result": 1}]
    problem = cases("java", due, ["str"], "int")
    assert outcomes(
        problem,
        "static int f(String x) { return Integer.parseInt(x); }",
        "static class Own extends IllegalArgumentException {}"
        'static int f(String x) { if (x.equals("x")) throw new Own(); return 1; }',
        "static int f(String x) { return 1; }",
        'static int f(String x) { if (x.equals("x")) throw new RuntimeException(); return 1; }',
    ) == ["passed", "passed", "failed", "failed"]


FORGERIES = {
    "leaves": "static int f(int x) { System.exit(0); return 0; }",
    "halts": "static int f(int x) { Runtime.getRuntime().halt(0); return 0; }",
    "leaves while loading": "static { System.exit(0); } static int f(int x) { return 0; }",
    "equals all": """
        static class Any extends ArrayList<Object> {
            public boolean equals(Object other) { return true; }
        }
        static Object f(int x) { return new Any(); }
        """,
    "writes answers": """
        static int f(int x) throws Exception {
            var out = new java.io.FileOutputStream(java.io.FileDescriptor.out);
            for (int n = 0; n < 64; n++) { out.write(new byte[] {1, 2, 3, 5}); }
            System.exit(0);
            return 0;
        }
        """,
    "calls the harness": """
        static int f(int x) throws Exception {
            Class.forName("Values"); Class.forName("Run");
            return 2 * x;
        }
        """,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_cases_do_not_pass(verdicts, name):
    assert verdicts[f"cases {name}"].outcome in ("failed", "error")


def test_a_suites_own_main():
    right, wrong, throws, broken = graded(
        NUMBERS,
        "public List<Integer> f(int x) { return Arrays.asList(x, 2 * x); }",
        "public List<Integer> f(int x) { return Arrays.asList(2, 4); }",
        'public List<Integer> f(int x) { throw new IllegalStateException("no"); }',
        "public String f(int x) { return ; }",
    )
    assert (right.outcome, right.detail) == ("passed", "")
    assert (wrong.outcome, throws.outcome) == ("failed", "error")
    assert broken.outcome == "compile-error"


MAIN_FORGERIES = {
    "leaves": "List<Integer> f(int x) { System.exit(0); return null; }",
    "leaves while loading": """
        static { Runtime.getRuntime().halt(0); }
        List<Integer> f(int x) { return null; }
        """,
    "equals all": """
        List<Integer> f(int x) {
            return new ArrayList<Integer>() { public boolean equals(Object o) { return x == 2; } };
        }
        """,
    "elements equal all": """
        static class Any { public boolean equals(Object o) { return true; } }
        List<Integer> f(int x) {
            List raw = new ArrayList<>();
            for (int n = 0; n < (x == 2 ? 2 : 1); n++) { raw.add(new Any()); }
            return raw;
        }
        """,
    "its own Arrays": """
        List<Integer> f(int x) { return null; }
        }
        class Arrays { static <T> List<T> asList(T... all) { return new ArrayList<>(); }
        """,
    "its own List": """
        public List f(int x) { return new List(); }
        }
        class List {
            public boolean equals(Object o) { return true; }
            boolean contains(Object o) { return false; }
        """,
    "its own Main": """
        List<Integer> f(int x) { return null; }
        }
        class Main { public static void main(String[] args) {}
        """,
    "its own AssertionError": """
        List<Integer> f(int x) { return null; }
        }
        class AssertionError extends RuntimeException { AssertionError() { System.exit(0); }
        """,
    "writes a pass": """
        List<Integer> f(int x) throws Exception {
            var out = new java.io.FileOutputStream(java.io.FileDescriptor.out);
            for (int n = 0; n < 64; n++) { out.write(new byte[] {5, 2, 3, 'n'}); }
            Runtime.getRuntime().halt(0);
            return null;
        }
        """,
    "patches the JDK": """
        List<Integer> f(int x) throws Exception {
            var field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            var unsafe = (sun.misc.Unsafe) field.get(null);
            long place = unsafe.objectFieldOffset(Boolean.class.getDeclaredField("value"));
            unsafe.putBoolean(Boolean.FALSE, place, true);
            return List.of(9);
        }
        """,
    "a proxy of the JDK's own loader": """
        @SuppressWarnings("unchecked")
        List<Integer> f(int x) {
            return (List<Integer>) java.lang.reflect.Proxy.newProxyInstance(null,
                new Class<?>[] {List.class}, (proxy, method, given) -> switch (method.getName()) {
                    case "equals" -> x == 2;
                    case "toArray" -> new Object[0];
                    default -> 0;
                });
        }
        """,
    "raises what the kit raises": """
        List<Integer> f(int x) throws Exception { throw new java.io.EOFException(); }
        """,
    "endless": """
        List<Integer> f(int x) {
            return new AbstractList<Integer>() {
                public Integer get(int n) { return n; }
                public int size() { return 1 << 21; }
            };
        }
        """,
    "deep": """
        List<Integer> f(int x) {
            List list = new ArrayList();
            for (int n = 0; n < 500; n++) { list = new ArrayList(List.of(list)); }
            return list;
        }
        """,
    "within itself": """
        List<Integer> f(int x) { List list = new ArrayList(); list.add(list); return list; }
        """,
    "annotated": """
        @java.lang.annotation.Target(java.lang.annotation.ElementType.TYPE_USE)
        @interface Own { String value(); }
        List<Integer> f(@Own("+System.exit(0)+") int x) { return List.of(9); }
        """,
    "finalizes": """
        protected void finalize() { }
        List<Integer> f(int x) { return List.of(9); }
        """,
}


@pytest.mark.parametrize("name", MAIN_FORGERIES)
def test_forged_mains_do_not_pass(verdicts, name):
    verdict = verdicts[f"main {name}"]
    assert verdict.outcome in ("failed", "error", "compile-error"), verdict


CALLS = main(
    """
    Solution s = new Solution();
    List<Boolean> correct = Arrays.asList(s.f(2), s.f(4));
    if (correct.contains(false)) { throw new AssertionError(); }
    """
)


def test_null_is_no_answer_of_any_type():
    assert outcomes(
        CALLS,
        "Boolean f(int x) { return x % 2 == 0; }",
        "Boolean f(int x) { return null; }",
        "<T> T f(int x) { return null; }",
        "boolean f(int x) { return x == 2; }",
    ) == ["passed", "error", "error", "failed"]


def test_short_texts_are_the_literals_of_the_test():
    same = main("""
    if ((String) new Solution().f("2,3", 1).get() != "2,3") { throw new AssertionError(); }
    """)
    right = 'Optional<Object> f(Object a, Object b) { return Optional.of(a + ""); }'
    assert outcomes(same, right) == ["passed"]


CHANGES = main(
    """
    Solution s = new Solution();
    List<Integer> grows = new ArrayList<>(List.of(1, 2)), fixed = List.of(1);
    Map<String, List<Integer>> table = new HashMap<>(Map.of("a", new ArrayList<>()));
    int[] numbers = {1, 2};
    StringBuilder text = new StringBuilder("a");
    Map.Entry<String, Character> entry = s.f(grows, fixed, table, numbers, text);
    if (!entry.equals(Map.entry("Integer Double", 'c')) || !grows.equals(List.of(9, 2, 3))
            || !table.equals(Map.of("a", List.of(7))) || numbers[1] != 5
            || !text.toString().equals("ab")) {
        throw new AssertionError();
    }
    """
)


def test_values_keep_their_class_and_what_is_changed_in_place_counts():
    right = """
        Map.Entry<String, Character> f(List<Integer> grows, List<Integer> fixed,
                Map<String, List<Integer>> table, int[] numbers, StringBuilder text) {
            try { fixed.add(1); return null; } catch (UnsupportedOperationException fine) {}
            grows.set(0, 9); grows.add(3); table.get("a").add(7); numbers[1] = 5; text.append("b");
            Object half = 0.5;
            String whole = fixed.get(0).getClass().getSimpleName();
            return Map.entry(whole + " " + half.getClass().getSimpleName(), 'c');
        }
        """
    assert [verdict.detail for verdict in graded(CHANGES, right)] == [""]


def test_a_test_that_hangs_on_an_answer_costs_its_own_sample(monkeypatch):
    """Lists whose hashes collide and that cannot be told apart by order."""
    monkeypatch.setattr(java, "TEST_CPU_S", 1)
    slow = """
        public Set<List<String>> f(int x) {
            Set<List<String>> all = new LinkedHashSet<>();
            if (x == 2) {
                return new AbstractSet<>() {
                    public int size() { return 1 << 16; }
                    public Iterator<List<String>> iterator() { return null; }
                    public Object[] toArray() {
                        Object[] made = new Object[size()];
                        for (int n = 0; n < made.length; n++) {
                            String text = "";
                            for (int bit = 0; bit < 16; bit++) {
                                text += (n >> bit & 1) == 0 ? "Aa" : "BB";
                            }
                            made[n] = List.of(text);
                        }
                        return made;
                    }
                };
            }
            return all;
        }
        """
    right = "public Set<List<String>> f(int x) { return Set.of(List.of()); }"
    problem = main(
        """
        if (!new Solution().f(2).equals(Set.of(List.of()))) { throw new AssertionError(); }
        """
    )
    first, hung, last = outcomes(problem, right, slow, right + " ")
    assert (first, last) == ("passed", "passed")
    assert hung == "timeout"


def test_limits_have_their_outcomes(monkeypatch):
    limits = dataclasses.replace(java.SAMPLE_LIMITS, cpu_s=1)
    monkeypatch.setattr(java, "SAMPLE_LIMITS", limits)
    assert outcomes(
        double(),
        "static int f(int x) { while (true) {} }",
        "static int f(int x) { long[][] all = new long[64][]; "
        "for (int n = 0; n < 64; n++) all[n] = new long[1 << 23]; return all.length; }",
        "static int f(int x) { return 1 + f(x); }",
        'static int f(int x) { while (true) System.out.println("chatter".repeat(999)); }',
    ) == ["timeout", "memory", "error", "output-limit"]


def test_a_unit_that_kills_the_compiler_is_its_own_error():
    deep = "static int f(int x) { return " + "(" * 20000 + "x" + ")" * 20000 + "; }"
    right = "static int f(int x) { return 2 * x; }"
    assert outcomes(double(), right, deep, right + " ") == ["passed", "compile-error", "passed"]


def test_without_a_jdk_nothing_is_judged(monkeypatch, tmp_path):
    from bench.scoring.sandbox import jdk

    jdk.jdk.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(jdk, "INSTALLED", tmp_path)
    try:
        (verdict,) = graded(double(), "static int f(int x) { return 2 * x; }")
    finally:
        jdk.jdk.cache_clear()
    assert verdict.passed is None
    assert "no Java compiler" in verdict.detail


def test_without_a_sandbox_nothing_is_run():
    problem = double()
    closed = Jail("none", unavailable="bubblewrap does not work here: restricted")
    verdicts = execution.grade([problem], {problem.id: "static int f(int x)"}, closed)
    assert verdicts[problem.id].passed is None
    assert "restricted" in verdicts[problem.id].detail


@pytest.fixture
def jdks(monkeypatch, tmp_path):
    """Makes JDKs that state a version; none of the machine's is seen."""
    from bench.scoring.sandbox import jdk

    monkeypatch.setattr(jdk, "INSTALLED", tmp_path / "jvm")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def make(version, below="jvm"):
        folder = tmp_path / below / f"jdk-{version}"
        (folder / "bin").mkdir(parents=True)
        for name in ("java", "javac"):
            (folder / "bin" / name).touch()
        (folder / "release").write_text(f'JAVA_VERSION="{version}"\n')
        return folder

    return make


def test_an_installed_jdk_is_found_the_oldest_that_will_do(jdks, monkeypatch):
    from bench.scoring.sandbox import jdk

    for version in ("1.8.0_392", "11.0.2"):
        jdks(version)
    with pytest.raises(MachineError, match=r"JDK 1\.8\.0_392 in .*: 17 or newer is needed"):
        jdk.home()
    newest = jdks("25")
    assert jdk.home() == newest
    seventeen = jdks("17.0.9")
    assert jdk.home() == seventeen
    monkeypatch.setenv("JAVA_HOME", str(newest))
    assert jdk.home() == newest
    monkeypatch.setenv("JAVA_HOME", str(jdks("16", "own")))
    assert jdk.home() == seventeen
