"""A study's mistakes are found when it is read: nothing runs, and nothing is written."""

from __future__ import annotations

import copy
import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cli
from bench.errors import BenchError
from bench.grid import checks, study, tables

HEAD = 'extends = "smoke"\nname = "mine"\nsummary = "a study with one mistake"\n'
SIZE = """
[[sizes]]
kind = "tiny"
name = "x"
hidden_size = 32
layers = 1
heads = 4
kv_heads = 2
intermediate_size = 64
pretrain_steps = 2
pretrain_learning_rate = 5e-3
"""

#: By what is wrong: the file's lines, and what its error says.
WRONG = {
    "a name that leads out": (
        HEAD.replace("mine", "../outside"),
        "name = '../outside': not a plain",
    ),
    "a size that leads out": (HEAD + SIZE.replace('"x"', '"../x"'), "sizes.0.name = '../x': not a"),
    "a size with a space": (HEAD + SIZE.replace('"x"', '"my size/1"'), "'my-size-1' is one"),
    "a hidden name": (HEAD.replace("mine", ".mine"), "name = '.mine': not a plain"),
    "an unfinished stage's name": (HEAD + SIZE.replace('"x"', '"x.partial"'), "'x' is one"),
    "a name of 300 letters": (HEAD.replace("mine", "m" * 300), "not a plain file name"),
    "an empty name": (HEAD.replace("mine", ""), "name = '': not a plain file name"),
    "sizes that are one folder": (
        HEAD + SIZE + SIZE.replace('"x"', '"X"'),
        "two sizes of one name: x and X",
    ),
    "heads that share nothing": (
        HEAD + SIZE.replace("kv_heads = 2", "kv_heads = 3"),
        "kv_heads = 3 does not divide heads = 4; 2 does",
    ),
    "heads that do not divide": (
        HEAD + SIZE.replace("\nheads = 4", "\nheads = 5"),
        "heads = 5 does not divide hidden_size = 32; 4 does",
    ),
    "heads of an odd width": (
        HEAD + SIZE.replace("= 32", "= 12"),
        "hidden_size / heads = 3, and rotary",
    ),
    "a vocabulary without its bytes": (
        HEAD + SIZE + "vocabulary = 100\n",
        "vocabulary = 100; all bytes and the special tokens need 259",
    ),
    "fewer rows than tokens": (HEAD + SIZE + "embedding_rows = 300\n", "embedding_rows = 300"),
    "a kind that is none": (
        HEAD + SIZE.replace('"tiny"', '"tinny"'),
        "sizes.0.kind = 'tinny': input should be one of 'tiny', 'hub'; did you mean tiny?",
    ),
    "half a micro-batch": (
        HEAD + "[training.qlora]\nrows_per_step = 9\nrows_per_micro_batch = 4\n",
        "rows_per_step = 9 is no multiple of rows_per_micro_batch = 4; 3 divides it",
    ),
    "a scheduler that is none": (
        HEAD + '[training.qlora]\nscheduler = "cosin"\n',
        "training.qlora.scheduler = 'cosin': input should be 'linear'",
    ),
    "a schedule that cannot fall": (
        HEAD + '[training.qlora]\nscheduler = "polynomial"\nlearning_rate = 1e-8\n',
        "learning_rate = 1e-08 is not above 1e-07",
    ),
    "an optimizer that is none": (
        HEAD + '[training.full]\noptimizer = "adamw_bnb_8bits"\n',
        "did you mean adamw_bnb_8bit?",
    ),
    "a projection that is none": (
        HEAD + '[training.lora]\ntargets = ["qproj"]\n',
        "training.lora.targets.0 = 'qproj'",
    ),
    "a projection twice": (
        HEAD + '[training.lora]\ntargets = ["q_proj", "q_proj"]\n',
        "names q_proj more than once",
    ),
    "no projection": (HEAD + "[training.lora]\ntargets = []\n", "at least 1 item, not 0"),
    "a negative seed": (HEAD + "seed = -1\n", "seed = -1: input should be greater than or equal"),
    "a seed too large": (HEAD + "seed = 4294967296\n", "seed = 4294967296: larger than 4294967295"),
    "a window without room": (
        HEAD + "[decoding]\nwindow_tokens = 150\n",
        "window_tokens = 150 leaves no room for a prompt beside new_tokens.generation = 192",
    ),
    "a prompt beside which no answer fits": (
        HEAD + '[[suites]]\nname = "embedded"\nprompt_tokens = { generation = 900 }\n',
        "suite embedded: prompt_tokens.generation = 900",
    ),
    "a truth value for a number": (HEAD + "seed = true\n", "seed = true: a truth value"),
    "a truth value for a rate": (
        HEAD + "[training.qlora]\nlearning_rate = true\n",
        "training.qlora.learning_rate = true: a truth value",
    ),
    "a number for a truth value": (
        HEAD + "[training]\nloss_on_prompt = 1\n",
        "training.loss_on_prompt = 1: a number, where a truth value belongs",
    ),
    "a text for a number": (HEAD + 'seed = "42"\n', "seed = '42': a text, where a number"),
    "a number with a point": (
        HEAD + "[training.qlora]\nepochs = 2.0\n",
        "training.qlora.epochs = 2.0: a number with a point",
    ),
    "an infinite rate": (
        HEAD + "[training.qlora]\nlearning_rate = inf\n",
        "training.qlora.learning_rate = inf: not a finite number",
    ),
    "no number": (HEAD + "[training.full]\nweight_decay = nan\n", "= nan: not a finite number"),
    "5,000 digits": (HEAD + f"seed = {'9' * 5000}\n", "not valid TOML: Exceeds the limit"),
    "a thousand digits": (
        HEAD + f"seed = {'9' * 1000}\n",
        "seed = a number of many digits: larger",
    ),
    "no methods": (HEAD + "methods = []\n", "methods = []: the list should have at least 1 item"),
    "no suites": (HEAD + "suites = []\n", "suites = []: the list should have at least 1 item"),
    "a task twice": (
        HEAD + 'tasks = ["generation", "generation"]\n',
        "names generation more than once",
    ),
    "NUL in a text": (HEAD.replace("a study", "a\\u0000study"), "the character U+0000"),
    "a command to the terminal": (HEAD.replace("a study", "a\\u001bstudy"), "the character U+001B"),
    "a list for a table": (HEAD + "training = []\n", "training = []: input should be a table"),
    "a date": (HEAD + "seed = 2026-01-01\n", "seed = datetime.date(2026, 1, 1): input should"),
    "brackets without end": (HEAD + f"x = {'[' * 100_000}", "nested too deeply"),
    "an unknown field": (
        HEAD + "[training.qlora]\nepoch = 2\n",
        "training.qlora.epoch: no such field; did you mean epochs?",
    ),
    "an unknown corpus": (HEAD + '[data]\ncorpus = "embeded"\n', "data.corpus) 'embeded'"),
    "an unknown suite": (HEAD + '[[suites]]\nname = "humanevla"\n', "suites.0.name) 'humanevla'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_plan_names_file_field_and_value_and_writes_nothing(capsys, tmp_path, what):
    text, told = WRONG[what]
    path, results = tmp_path / "in" / "mine.toml", tmp_path / "out" / "results"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    code = cli.main(["plan", "--study", str(path), "--results", str(results)])
    printed = capsys.readouterr().err
    assert code == 2
    assert told in printed
    assert str(path) in printed
    assert len(printed.splitlines()) == 2  # what is wrong, and what to do next
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("marked", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_read(tmp_path, marked):
    path = tmp_path / "mine.toml"
    path.write_bytes(marked + HEAD.encode())
    assert study.load(str(path)).name == "mine"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(tmp_path, encoding):
    path = tmp_path / "mine.toml"
    path.write_bytes(HEAD.encode(encoding))
    with pytest.raises(BenchError, match="UTF-16, or not text") as caught:
        study.load(str(path))
    assert caught.value.hint == "save it as UTF-8"


def test_what_is_no_file_or_no_study_is_told(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 21))
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    for name in ("folder.toml", "absent.toml", "loop.toml", f"{'x' * 300}.toml", "a\0b.toml"):
        with pytest.raises(BenchError, match="no such study file"):
            study.load(str(tmp_path / name))
    with pytest.raises(BenchError, match="more than 1 MiB"):
        study.load(str(tmp_path / "large.toml"))
    with pytest.raises(BenchError, match="unknown study"):
        study.load("../studies/smoke")


def places(table: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of each value in a table."""
    inner = table.items() if isinstance(table, dict) else enumerate(table)
    below = [
        places(value, (*at, key)) if isinstance(value, dict | list) else []
        for key, value in (inner if isinstance(table, dict | list) else ())
    ]
    keys = table if isinstance(table, dict) else range(len(table))
    return [(*at, key) for key in keys] + list(itertools.chain.from_iterable(below))


SMOKE = tomllib.loads((study.STUDIES / "smoke.toml").read_text())
JUNK = [True, -1, 0, 2**40, 10**400, 0.5, float("inf"), float("nan"), "", "a\0b", "../x", "\x1b[2J"]
JUNK += [[], {}, [[]], [{}], {"": 1}, ["a", "a"], "x" * 5000]


@pytest.mark.parametrize("junk", JUNK, ids=lambda one: repr(one)[:20])
def test_nothing_in_any_field_ends_in_another_error(monkeypatch, junk):
    for place in places(SMOKE):
        table = copy.deepcopy(SMOKE)
        inner: Any = table
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = junk
        monkeypatch.setattr(tables, "read", lambda _, found=table: found)
        try:
            loaded = study.load("smoke")
        except BenchError as error:
            assert "\n" not in error.problem
            assert error.problem.isprintable()
            assert len(error.problem) < 500
            continue
        folders = [loaded.name, *(cell.id for cell in study.expand(loaded))]
        assert all(Path(name).name == name for name in folders)


@given(st.text(max_size=80))
def test_a_name_that_is_taken_is_one_part_of_a_path(name):
    try:
        taken = checks._plain_name(name)
    except ValueError as error:
        nearest = str(error).partition("; '")[2].partition("' is one")[0]
        assert not nearest or checks._plain_name(nearest) == nearest
        return
    assert Path(taken).name == taken == Path(f"a/{taken}").name
    assert not taken.startswith(".")


@given(st.integers(1, 5000), st.integers(1, 6000))
def test_the_nearest_divisor_is_one_and_none_is_nearer(number, wanted):
    found = checks._nearest_divisor(number, wanted)
    divisors = [one for one in range(1, number + 1) if number % one == 0]
    assert found in divisors
    assert abs(found - wanted) == min(abs(one - wanted) for one in divisors)
