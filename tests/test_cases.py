"""Inputs that went wrong once, beside the mirror, and as many of our own: all come out right.

The kinds have tests where their modules have theirs; here the whole way of a file through
``score`` is gone, so each line costs a start of its tools.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli import choice
from bench.data import problems
from bench.errors import BenchError
from bench.grid import study
from bench.records import Track
from bench.scoring import answers, execution, stored
from tests import grading

PYTHON, JAVA = Track("generation", "python"), Track("generation", "java")
CS_JAVA, JAVA_CS = Track("translation", "cs_java"), Track("translation", "java_cs")
ENGLISH = Track("summarization", "python")


@pytest.fixture(scope="module")
def cases(request):
    """The folder of cases, where it lies beside the mirror."""
    mirror = request.config.getoption("--mirror")
    folder = Path(mirror).resolve().parent / "cases" if mirror else None
    if folder is None or not folder.is_dir():
        pytest.skip("needs the folder cases beside the public sources: pytest --mirror DIR")
    return folder


#: Cases of our own in the same form, in words of our own.
OWN = Path(__file__).parent / "cases"


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def scored(tmp_path, mirror):
    """The sheet of some records (or a file of them), by id, and all that is told of them."""

    def measure(records, track, *metrics, references=None, suite=None, extract=False):
        path = records
        if not isinstance(records, Path):
            path = tmp_path / "generations.jsonl"
            path.write_text("".join(f"{json.dumps(one)}\n" for one in records), encoding="utf-8")
        request = stored.Request(
            path, track, "corrected", mirror, references, suite, metrics, extract
        )
        found = stored.measure(request)
        table = found.sheet.table.set_index("id")
        told = [*found.remarks, *map(str, found.faults)]
        told += [gap.reason for gap in found.sheet.gaps]
        return table, " | ".join(told)

    return measure


def verdicts(records, mirror):
    """The verdict of each record of any suite and track, in one batch."""
    asked, texts = [], {}
    for number, one in enumerate(records):
        track = Track(one["task"], one["language"])
        known = problems.track_problems(one["suite"], track, mirror)
        (problem,) = (p for p in known if p.id.partition("@")[0] == one["id"])
        text = one.get("code")
        if text is None:
            text = answers.extract(problem, one["text"]).text
        name = f"{one['id']}#{number}"
        asked.append(grading.named(problem, name))
        texts[name] = text
    return execution.grade(asked, texts)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["raw_answers.jsonl", "whole_units.jsonl", None])
def test_right_answers_pass(source, cases, mirror):
    for language in ("python", "java", "csharp"):
        grading.need(language)
    records = read(cases / source if source else OWN / "right_answers.jsonl")
    graded = verdicts(records, mirror)
    wrong = {
        name: (verdict.outcome, verdict.detail, one.get("text", one.get("code")))
        for (name, verdict), one in zip(graded.items(), records, strict=True)
        if not verdict.passed
    }
    assert wrong == {}


# ----- analysers -----

#: What a comment line may add on its own, silencing or not: the line itself.
OF_THE_LINE = {"flake8.violations": 1, "checkstyle.violations": 1, "pmd.codestyle": 1}


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True], ids=["theirs", "own"])
@pytest.mark.parametrize("kind", ["gen", "java", "two"])
def test_nothing_is_silenced(kind, own, cases, scored):
    records = read((OWN if own else cases) / "silenced.jsonl")
    mine = [{"id": one["id"], "code": one["code"]} for one in records if one["file"] == kind]
    track = JAVA if kind == "java" else PYTHON
    tools = ("pmd", "checkstyle") if kind == "java" else ("pylint", "flake8")
    table, _ = scored(mine, track, *tools, "lizard", "cognitive")
    assert table.notna().all(axis=None)
    plain, *others = table.index
    for column in table:
        added = table.loc[others, column] - table.loc[plain, column]
        assert added.between(0, OF_THE_LINE.get(column, 0)).all(), (column, added.to_dict())
    assert table.loc[plain].sum() > 4


def test_expression_bodies_are_counted(cases, scored):
    table, told = scored(cases / "csharp_expression_bodies.jsonl", JAVA_CS, "lizard", "cognitive")
    ccn = table["lizard.Cyclomatic_Complexity"]
    assert ccn.drop("property").to_dict() == {"expression-body": 3, "block-body": 3, "mixed": 3}
    assert "holds no function that Lizard finds" in told
    own = [
        {"id": "a", "code": "int F(int x) { return x; }\nvoid G() => H();\nA() => x = y ? 3 : 4;"},
        {"id": "b", "code": "T F<T>(T a) where T : class => a ?? b;\nint this[int i] => i;"},
        {"id": "c", "code": "class A { public static bool operator !(A a) => a.X && a.Y; }"},
        {"id": "d", "code": "event Action E;"},
    ]  # fmt: skip
    table, told = scored(own, JAVA_CS, "lizard")
    found = table["lizard.Cyclomatic_Complexity"].fillna(0).to_dict()
    assert (found["a"], found["b"], found["c"], found["d"]) == (4, 2, 2, 0)


# ----- similarity -----


def test_equal_summaries_of_any_script_are_equal(cases, scored):
    only = ("sentence_bleu", "chrf", "rouge_l", "meteor")
    table, _ = scored(
        cases / "non_latin.outputs.jsonl", ENGLISH, *only,
        references=cases / "non_latin.references.jsonl",
    )  # fmt: skip
    assert table.drop("half").min(axis=None) == pytest.approx(1.0)
    assert table.loc["half"].between(0.1, 0.9).all()


def test_equal_short_codes_are_equal(cases, scored):
    table, _ = scored(
        cases / "short_texts.outputs.jsonl", CS_JAVA, "codebleu",
        references=cases / "short_texts.references.jsonl",
    )  # fmt: skip
    assert table["codebleu"].tolist() == pytest.approx([1.0] * len(table))


# ----- formats, texts and what surrounds them -----


def test_fences_in_codes_are_told_and_cut_by_an_option(cases, scored):
    grading.need("python")
    path = cases / "fenced_code.jsonl"
    table, told = scored(path, PYTHON, "pass@1")
    assert table["pass1.pass@1"].tolist() == [0, 0]
    assert "hold Markdown fences" in told
    table, told = scored(path, PYTHON, "pass@1", extract=True)
    assert table["pass1.pass@1"].tolist() == [1, 1]
    assert "hold Markdown fences" not in told


@pytest.mark.slow
def test_one_text_has_one_reading(cases, scored):
    """What runs is what parses, in each tool."""
    grading.need("python")
    tools = ("pylint", "flake8", "lizard", "cognitive")
    for path in (cases / "bom_and_coding_lines.jsonl", OWN / "one_reading.jsonl"):
        table, _ = scored(path, PYTHON, "pass@1", *tools, suite="humaneval")
        passed = table["pass1.pass@1"] == 1
        assert passed.sum() >= 5
        for column in set(table) - {"lizard.Detection_Rate", "parse_failures"}:
            assert (table[column].notna() == passed).all() or column == "pass1.pass@1", column
        assert ((table["parse_failures"] == 0) == passed).all()
        if path.parent == OWN:
            assert passed.to_dict() == {one["id"]: one["passes"] for one in read(path)}


def test_a_missing_module_is_named(cases, scored):
    grading.need("python")
    table, told = scored(cases / "numpy.jsonl", PYTHON, "pass@1")
    assert table["pass1.pass@1"].tolist() == [0, 0]
    assert "numpy (1), sympy (1); the sandbox has Python's standard library alone" in told
    own = [
        {"id": "HumanEval/53", "code": "def add(x, y):\n    import pandas.core\n    return x + y"},
        {"id": "HumanEval/23", "code": "try:\n    import torch\nexcept ImportError:\n    pass\n\n"
         "def strlen(string):\n    return len(string)"},
    ]  # fmt: skip
    table, told = scored(own, PYTHON, "pass@1", suite="humaneval")
    assert table["pass1.pass@1"].tolist() == [0, 1]
    assert "pandas (1);" in told


def test_lines_without_a_suite_answer_the_one_that_is_named(cases, scored):
    grading.need("python")
    table, _ = scored(cases / "no_suite.jsonl", PYTHON, "pass@1", suite="humaneval")
    assert table["pass1.pass@1"].tolist() == [1]


def test_lines_of_other_formats_are_told(cases, scored):
    grading.need("python")
    table, told = scored(cases / "other_formats.jsonl", PYTHON, "pass@1", suite="humaneval")
    assert len(table) == 10
    for what in ("is that of line 1 too", "not a text but a list", ":9: no id", "no problem of"):
        assert what in told


STUDIES = {
    "escape": "name = '../outside/escaped'",
    "kvheads": "kv_heads = 3",
    "microbatch": "rows_per_micro_batch = 2",
    "scheduler": "did you mean cosine?",
    "seed": "seed = -1",
    "sizename": "sizes.0.name = 'my size/1'",
    "targets": "did you mean q_proj?",
    "utf16": "UTF-16",
    "window": "decoding.window_tokens = 150",
}


def test_studies_are_refused_in_one_line(cases):
    paths = {path.stem: path for path in (cases / "studies").glob("*.toml")}
    assert study.load(str(paths.pop("byte_order_mark"))).name == "mine"
    assert set(paths) == set(STUDIES)
    for name, path in paths.items():
        with pytest.raises(BenchError) as error:
            choice.choose(str(path), ())
        assert STUDIES[name] in str(error.value)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        assert error.value.hint


OWN_STUDIES = {
    'scheduler = "linaer"\n': "did you mean linear?",
    "weight_decay = inf\n": "not a finite number",
    'learning_rate = "1e-4"\n': "write no quotes",
    "epochs = true\n": "a truth value",
    "epochs = 0\n": "training.qlora.epochs = 0",
    f"epochs = {'9' * 5000}\n": "5000 digits",
    "rows_per_step = 7\nrows_per_micro_batch = 3\n": "is no multiple of",
    'optimizer = "adamv"\n': "training.qlora.optimizer = 'adamv'",
    "learning_rat = 1\n": "did you mean learning_rate?",
}


@pytest.mark.parametrize("lines", OWN_STUDIES)
def test_mistakes_in_a_study_are_named(tmp_path, lines):
    path = tmp_path / "own.toml"
    path.write_text(f'extends = "smoke"\nname = "own"\nsummary = "own"\n[training.qlora]\n{lines}')
    with pytest.raises(BenchError) as error:
        choice.choose(str(path), ())
    assert OWN_STUDIES[lines] in str(error.value)
    assert len(str(error.value)) < 400
