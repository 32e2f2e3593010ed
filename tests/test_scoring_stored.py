"""Stored generations of any origin: the study's values from its files, and every mistake told."""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.data import embedded
from bench.errors import BenchError, DataError
from bench.records import Track
from bench.scoring import metrics, outputs, stored
from bench.scoring.admission import NotRunError
from bench.scoring.quality import java
from tests import grading

ROOT = Path(__file__).parents[1]
PYTHON, JAVA = Track("generation", "python"), Track("generation", "java")
CS_JAVA, JAVA_CS = Track("translation", "cs_java"), Track("translation", "java_cs")
ADD = "def add(left, right):\n    return left + right\n"
GOLDEN = [
    "generation/python/0_5b_mt-fft",
    "generation/python/1_5b_mt-qlora",
    "generation/java/1_5b_mt-qlora",
    "generation/java/3b_st-qlora",
    "translation/cs_java/0_5b_st-qlora",
    "translation/cs_java/3b_mt-qlora",
]


@pytest.fixture
def lines(tmp_path):
    """Write records to a file, and give its path."""

    def write(*records, name="generations.jsonl"):
        path = tmp_path / name
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        return path

    return write


def measured(path, track, variant="corrected", **options):
    return stored.measure(stored.Request(path, track, variant, **options))


def golden(mirror, model):
    folder = mirror.parent / "golden" / "generated" / model
    if not folder.is_dir():
        pytest.skip("the published outputs do not lie beside the mirror")
    with (folder / "expected.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    task, language, _ = model.split("/")
    return folder / "outputs.jsonl", Track(task, language), expected


def equal_rows(table, expected, family, tolerance=1e-6):
    """How many rows have every value of a family of columns as expected."""
    names = [name for name in expected[0] if name.partition(".")[0] == family]
    assert table["id"].tolist() == [row["id"] for row in expected]
    assert names
    assert set(names) <= set(table)
    return sum(
        all(abs(float(row[name]) - float(wanted[name])) < tolerance for name in names)
        for row, wanted in zip(table.fillna(float("nan")).to_dict("records"), expected, strict=True)
    )


@pytest.mark.parametrize("model", GOLDEN)
def test_lizard_of_the_study(mirror, model):
    path, track, expected = golden(mirror, model)
    found = measured(path, track, "published", only=("lizard",))
    assert equal_rows(found.sheet.table, expected, "lizard") == len(expected)


@pytest.mark.slow
def test_pylint_of_the_study(mirror):
    equal = total = 0
    for model in GOLDEN[:2]:
        path, track, expected = golden(mirror, model)
        found = measured(path, track, "published", only=("pylint",))
        equal += equal_rows(found.sheet.table, expected, "pylint")
        total += len(expected)
    assert equal / total >= 0.998


@pytest.mark.parametrize(("model", "share"), [(GOLDEN[4], 0.92), (GOLDEN[5], 0.94)])
def test_codebleu_of_the_study(mirror, model, share):
    """What the layout of the files has not changed for good: 920 and 943 of 1,000."""
    path, track, expected = golden(mirror, model)
    found = measured(path, track, "published", mirror=mirror, only=("codebleu",))
    assert equal_rows(found.sheet.table, expected, "codebleu") >= share * len(expected)


@pytest.mark.slow
@pytest.mark.parametrize("model", GOLDEN[2:])
def test_pmd_of_the_study(mirror, model):
    path, track, expected = golden(mirror, model)
    found = measured(path, track, "published", only=("pmd",))
    assert equal_rows(found.sheet.table, expected, "pmd") == len(expected)


@pytest.mark.slow
def test_the_python_tools_are_done_in_fifteen_cpu_seconds(mirror, tmp_path):
    path, _, expected = golden(mirror, GOLDEN[1])
    tools = ("pylint", "flake8", "lizard", "cognitive")
    command = [
        *(sys.executable, "-m", "bench", "score", "--generations", str(path)),
        *("--task", "generation", "--language", "python", "--variant", "published"),
        *("--csv", str(tmp_path / "out.csv")),
        *(word for tool in tools for word in ("--metric", tool)),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (tmp_path / "out.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(expected) == 190
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 15


def test_each_language_has_its_columns(lines, monkeypatch):
    """PMD, which takes seconds to start, is asked by the tests of its metric."""
    monkeypatch.setattr(java, "pmd", lambda units: [java.Report()] * len(units))
    path = lines({"id": "a", "code": ""})
    wanted = {PYTHON: {"pylint", "flake8"}, JAVA: {"pmd"}, JAVA_CS: {"roslyn"}}
    for track, own in wanted.items():
        only = ("lizard", *own)
        for variant in ("published", "corrected"):
            table = measured(path, track, variant, only=only).sheet.table
            assert {name.partition(".")[0] for name in table} == {"id", *own} | {
                "lizard",
                "parse_failures",
            }


def test_references_from_a_file_are_compared_with(lines):
    path = lines({"id": "a", "code": ADD}, {"id": "b", "code": ADD})
    references = lines({"id": "a", "reference": ADD}, {"id": "z"}, name="references.jsonl")
    found = measured(path, PYTHON, references=references, only=("codebleu", "sentence_bleu"))
    table = found.sheet.table
    assert table["codebleu"][0] == 1.0
    assert table["codebleu"].isna().tolist() == [False, True]
    assert table["similarity.BLEU"].isna().tolist() == [False, True]
    (gap,) = found.sheet.gaps
    assert (gap.columns, gap.ids) == (("codebleu", "similarity.BLEU"), ("b",))
    assert gap.reason == outputs.NO_REFERENCE
    assert any("references.jsonl:2: id 'z'" in remark for remark in found.remarks)
    assert any("1 of 2 generations have no reference" in remark for remark in found.remarks)
    assert found.sheet.table.columns.tolist() == ["id", "codebleu", "similarity.BLEU"]


def test_references_from_the_mirror_go_by_the_study_s_ids(mirror, lines):
    source = mirror / "codexglue" / "code-to-code-trans" / "test.java-cs.txt.java"
    seventh = source.read_text(encoding="utf-8").split("\n")[7]
    records = [
        {"id": "translation_7", "code": seventh},
        {"id": "test-7@translation/cs_java", "code": seventh},
        {"id": "translation_1000", "code": seventh},
    ]
    found = measured(lines(*records), CS_JAVA, mirror=mirror, only=("codebleu",))
    assert found.sheet.table["codebleu"].fillna(-1).tolist() == [1.0, 1.0, -1.0]


def test_summaries_are_compared_with_those_of_the_suite(mirror, lines):
    path = mirror / "paper_package/codereval/summarization/cs_codereval_eval_dataset_java_v2.jsonl"
    first = json.loads(path.read_text(encoding="utf-8").partition("\n")[0])
    record = {"id": first["id"], "summary": first["reference_summary"]}
    track = Track("summarization", "java")
    only = ("sentence_bleu", "rouge_l", "meteor")
    found = measured(lines(record), track, mirror=mirror, only=only)
    assert found.sheet.table["similarity.BLEU"][0] == pytest.approx(1.0)
    assert list(found.sheet.table) == [
        "id",
        "similarity.BLEU",
        "similarity.METEOR",
        "similarity.Rouge-L",
    ]


def test_without_public_files_the_reason_says_how_to_get_them(lines, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    found = measured(lines({"id": "translation_0", "code": "a"}), CS_JAVA, only=("codebleu",))
    assert found.sheet.table["codebleu"].isna().all()
    (remark,) = found.remarks
    assert "1 of 1 generations have no reference" in remark
    assert "--mirror DIR" in remark
    assert "--references FILE" in remark


def test_code_of_unknown_problems_is_not_executed(mirror, lines):
    record = {"id": "unheard-of", "code": ADD}
    found = measured(lines(record), PYTHON, mirror=mirror, only=("pass@1",))
    assert found.sheet.table["pass1.pass@1"].isna().all()
    (gap,) = found.sheet.gaps
    assert gap.reason.startswith("not run: no problem of this id is known (codereval has no")
    assert found.remarks == ()


def own(suite, function, track, output):
    """A line as the kit's generate stage writes it."""
    return {
        "id": f"{function.id}@{track}",
        "suite": suite,
        "task": track.task,
        "language": track.language,
        "prompt_sha256": "",
        "prompt_tokens": 9,
        "output_tokens": 9,
        "finish_reason": "stop",
        "text": f"```\n{output}\n```",
        "output": output,
    }


def test_our_own_generations_have_their_suite_s_references_and_tests(lines):
    grading.need("python")
    samples = embedded.samples(embedded.load(), "test", PYTHON)[:2]
    right, wrong = samples
    records = [
        {**own("embedded", right, PYTHON, right.reference), "id": right.id},
        {**own("embedded", wrong, PYTHON, "def f(): pass"), "id": wrong.id},
        {**own("embedded", right, JAVA, "int f() { return 1; }"), "id": "another"},
    ]
    found = measured(lines(*records), PYTHON, only=("codebleu", "pass@1"))
    table = found.sheet.table
    assert table["id"].tolist() == [right.id, wrong.id]
    assert table["pass1.pass@1"].tolist() == [1, 0]
    assert table["codebleu"][0] == 1.0
    assert found.remarks == ("1 lines of other tracks or suites are left aside",)


def test_several_suites_need_a_choice(lines):
    samples = embedded.samples(embedded.load(), "test", PYTHON)[:1]
    records = [own(suite, one, PYTHON, ADD) for one in samples for suite in ("mine", "yours")]
    path = lines(*records)
    with pytest.raises(BenchError, match="2 suites: mine, yours") as raised:
        measured(path, PYTHON, only=("lizard",))
    assert "--suite mine" in raised.value.hint
    found = measured(path, PYTHON, suite="yours", only=("lizard",))
    assert len(found.sheet.table) == 1
    with pytest.raises(BenchError, match="unknown suite 'ours'"):
        measured(path, PYTHON, suite="ours", only=("lizard",))


def test_a_file_of_another_track_is_told_so(lines):
    path = lines({"id": "a", "task": "translation", "language": "cs_java", "output": "x"})
    with pytest.raises(DataError, match="holds no generation of generation/python") as raised:
        measured(path, PYTHON)
    assert "translation/cs_java" in raised.value.hint


def test_a_tool_that_is_missing_leaves_its_columns_empty(lines, monkeypatch):
    load = metrics.load

    def without(name):
        if name == "lizard":
            raise NotRunError("not run: lizard is not installed; pip install it")
        return load(name)

    monkeypatch.setattr(metrics, "load", without)
    path = lines({"id": "a", "code": ADD})
    found = measured(path, PYTHON, "published", only=("lizard", "flake8"))
    assert found.sheet.table["flake8.violations"].tolist() == [0]
    assert found.sheet.table["lizard.Token_Count"].isna().all()
    (gap,) = found.sheet.gaps
    assert gap.reason == "not run: lizard is not installed; pip install it"


def test_hostile_outputs_are_reported_at_their_place(lines):
    bomb = "x = " + "+".join(["'a' * 10 ** 9"] * 400)
    records = [
        {"id": "before", "code": ADD},
        {"id": "gigantic", "code": "x = 1\n" * 100_000},
        {"id": "deep", "code": "x = " + "(" * 5000 + ")" * 5000},
        {"id": "bomb", "code": bomb},
        {"id": "half", "code": "'\ud800'"},
        {"id": "nothing", "code": None},
        {"id": "after", "code": ADD},
    ]
    found = measured(lines(*records), PYTHON, only=("lizard", "pylint", "flake8"))
    table = found.sheet.table.set_index("id")
    assert table.index.tolist() == [record["id"] for record in records]
    assert table.loc["before"].tolist() == table.loc["after"].tolist()
    assert table.loc["before"].notna().all()
    assert table.loc[["gigantic", "half", "nothing"]].isna().all(axis=None)
    assert [(fault.number, fault.left_out) for fault in found.faults] == [(6, False)]
    told = {identifier for gap in found.sheet.gaps for identifier in gap.ids}
    assert {"gigantic", "deep", "half"} <= told


def run(capsys, *arguments):
    """The exit code, and all that was printed, of one command."""
    try:
        code = cli.main(["score", *map(str, arguments)])
    except SystemExit as exit_:
        code = exit_.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_command_writes_the_table_and_says_where(capsys, lines, tmp_path):
    path, target = lines({"id": "a", "code": ADD}), tmp_path / "new" / "out.csv"
    options = ("--task", "generation", "--language", "python", "--metric", "lizard")
    code, out, err = run(capsys, "--generations", path, *options, "--csv", target)
    assert (code, err) == (0, "")
    assert f"1 generations of generation/python, corrected: {target}" in out
    assert target.read_text().startswith("id,lizard.Detection_Rate,")


def test_a_line_that_is_left_out_makes_the_exit_code_1(capsys, lines, tmp_path):
    path, target = lines({"id": "a", "code": ADD}, {"code": "x"}), tmp_path / "out.csv"
    options = ("--task", "generation", "--language", "python", "--metric", "lizard")
    code, _, err = run(capsys, "--generations", path, *options, "--csv", target)
    assert code == 1
    assert err.splitlines() == [f"{path}:2: no id; left out"]
    assert len(target.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("change", "exit_code", "problem", "hint"),
    [
        ({"--task": "codegen"}, 2, "no task 'codegen' in language 'python'", "--task generation"),
        ({"--language": "cs_java"}, 2, "no task 'generation' in language 'cs_java'", "cs_java"),
        ({"--generations": "absent.jsonl"}, 3, "absent.jsonl: cannot be read", "name a file"),
        ({"--references": "absent.jsonl"}, 3, "absent.jsonl: cannot be read", "name a file"),
        ({"--mirror": "/absent"}, 3, "mirror /absent: no such folder", "--mirror DIR"),
        ({"--csv": "/proc/out.csv"}, 4, "cannot write /proc/out.csv", "folder of yours"),
        ({"--metric": "lizzard"}, 2, "unknown metric 'lizzard'", "did you mean: lizard"),
    ],
)
def test_a_mistake_is_told_in_two_lines(capsys, lines, tmp_path, change, exit_code, problem, hint):
    options = {
        "--generations": lines({"id": "a", "code": ADD}),
        "--task": "generation",
        "--language": "python",
        "--csv": tmp_path / "out.csv",
        **change,
    }
    words = [word for pair in options.items() for word in pair]
    code, _, err = run(capsys, *words)
    told = err.strip().splitlines()
    assert (code, len(told)) == (exit_code, 2)
    assert problem in told[0]
    assert hint in told[1]
    assert not (tmp_path / "out.csv").exists()


def test_an_input_is_not_written_over(capsys, lines):
    path = lines({"id": "a", "code": ADD})
    options = ("--task", "generation", "--language", "python")
    code, _, err = run(capsys, "--generations", path, *options, "--csv", path)
    assert code == 2
    assert "is an input too" in err
    assert json.loads(path.read_text())["id"] == "a"


# ----- answers in raw texts -----


def humaneval(name, **fields):
    return {"task": "generation", "language": "python", "id": f"HumanEval/{name}", **fields}


def test_raw_texts_are_cut_to_their_answers(lines, tmp_path):
    path = lines(
        {"id": "fenced", "text": f"So:\n```python\n{ADD}```\nIt adds."},
        {"id": "bare", "text": ADD},
        {"id": "code", "code": f"x = 1\n{ADD}"},
    )
    found = measured(path, PYTHON, only=("lizard",))
    written = {one.id: one.output for one in found.answered.generations}
    assert written == {"fenced": ADD.rstrip(), "bare": ADD.rstrip(), "code": f"x = 1\n{ADD}"}
    assert found.answered.cut == (("So:\n```python", "```\nIt adds."), (), ())
    assert "2 texts are searched for their answers, 1 of them hold more" in found.remarks[0]


def test_codes_with_fences_are_told_of_and_cut_by_an_option(lines):
    documented = (
        f'def f():\n    """Do.\n\n    ```\n    f()\n    ```\n    """\n    return 1\n\n\n{ADD}'
    )
    path = lines({"id": "a", "code": f"```\n{ADD}\n```"}, {"id": "b", "code": documented})
    found = measured(path, PYTHON, only=("lizard",))
    assert [told for told in found.remarks if "fences" in told] == [
        "1 of 2 codes hold Markdown fences and are scored as they are (first id 'a'); "
        "--extract cuts them to their answers"
    ]
    assert found.answered.generations[0].output == f"```\n{ADD}\n```"
    cut = measured(path, PYTHON, only=("lizard",), extract=True)
    assert cut.answered.generations[0].output == ADD.rstrip()
    assert not [told for told in cut.remarks if "fences" in told]


def test_lines_without_a_suite_answer_the_one_that_is_asked_for(lines, mirror):
    path = lines({"id": "HumanEval/53", "code": "def add(x, y):\n    return x + y\n"})
    found = measured(path, PYTHON, suite="humaneval", mirror=mirror, only=("codebleu",))
    assert found.sheet.table["codebleu"].notna().all()
    with pytest.raises(BenchError, match="unknown suite 'humanevil'"):
        measured(path, PYTHON, suite="humanevil")


def test_text_is_read_in_one_way(lines, mirror):
    grading.need("python")
    path = lines(
        humaneval(53, code="\ufeffdef add(x, y):\n    return x + y\n"),
        humaneval(23, code="def strlen(string):\r\n    return len(string)\r\n"),
        humaneval(45, code="# coding: klingon\ndef triangle_area(a, h):\n    return a * h / 2\n"),
        humaneval(60, code="import numpy\n\n\ndef sum_to_n(n):\n    return numpy.sum(n)\n"),
        humaneval(35, code="from __future__ import annotations\ndef max_element(l):\n"
                  "    return max(l)\n"),
        humaneval(55, code="fib = lambda n: n if n < 2 else fib(n - 1) + fib(n - 2)\n"),
    )  # fmt: skip
    asked = ("pass@1", "pylint", "flake8", "lizard")
    found = measured(path, PYTHON, suite="humaneval", mirror=mirror, only=asked)
    table = found.sheet.table
    assert table["pass1.pass@1"].tolist() == [1, 1, 1, 0, 1, 1]
    assert table.drop(columns="id")[:5].notna().all(axis=None)  # a lambda is no function
    (told,) = [told for told in found.remarks if "module" in told]
    assert "1 outputs failed for a module that is not there: numpy (1)" in told


def test_the_command_keeps_answers_and_what_was_cut(lines, tmp_path, capsys):
    path = lines({"id": "a", "text": f"Yes.\n{ADD}"})
    kept = tmp_path / "answers.jsonl"
    command = ["score", "--generations", str(path), "--task", "generation"]
    command += ["--language", "python", "--metric", "lizard", "--csv", str(tmp_path / "o.csv")]
    assert cli.main([*command, "--answers", str(kept)]) == 0
    (line,) = map(json.loads, kept.read_text().splitlines())
    assert (line["output"], line["cut"]) == (ADD.rstrip(), ["Yes."])
    again = measured(kept, PYTHON, only=("lizard",))
    assert again.answered.generations[0].output == ADD.rstrip()
    with pytest.raises(BenchError, match="is an input too"):
        stored.check_output(stored.Request(path, PYTHON, "corrected"), path, "--answers OUT")
