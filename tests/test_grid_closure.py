"""The closure holds the code that decides a stage: all of it, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.grid import keys
from bench.grid.closure import Code

ROOT = Path(__file__).parent.parent

TREE = {
    "kit/__init__.py": "version = 1",
    "kit/stages.py": '''
"""Docstring that names kit.report."""
from __future__ import annotations
from typing import TYPE_CHECKING
from kit.records import Record
if TYPE_CHECKING:
    from kit.report import Page
LIMIT = 3
OTHER = 4

def train(job):
    from kit.train import fit
    return _help(job, LIMIT)

def _help(job: Record, limit):
    return job

def score(job):
    from .scoring.score import grade
    return OTHER
''',
    "kit/records.py": "class Record: ...",
    "kit/report.py": "",
    "kit/train/__init__.py": '"""Training."""',
    "kit/train/fit.py": "from . import loss\nimport kit.data.rows\nimport torch.nn",
    "kit/train/loss.py": "",
    "kit/data/__init__.py": "",
    "kit/data/rows.py": "",
    "kit/data/unused.py": "",
    "kit/data/table.json": "{}",
    "kit/scoring/__init__.py": "",
    "kit/scoring/score.py": "HERE = Path(__file__).parent / 'metrics'\nimport kit.scoring.jail",
    "kit/scoring/jail.py": "run('-m', 'kit.scoring.harness'); load('runner.py')",
    "kit/scoring/harness.py": "",
    "kit/scoring/runner.py": "",
    "kit/scoring/unused.py": "",
    "kit/scoring/metrics/bleu/bleu.py": "import evaluate",
    "kit/scoring/metrics/bleu/__pycache__/bleu.pyc": "",
    "torch/__init__.py": "",  # beside an installed package lie others
    "torch/nn.py": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_what_counts_for_each_stage(tree: Path) -> None:
    code = Code(tree, ignored=())
    assert set(code.files("kit.stages:train")) == {
        "kit/stages.py:train",
        "kit/records.py",
        "kit/train/__init__.py",
        "kit/train/fit.py",
        "kit/train/loss.py",
        "kit/data/__init__.py",
        "kit/data/rows.py",
        "kit/data/table.json",
    }
    assert set(code.files("kit.stages:score")) == {
        "kit/stages.py:score",
        "kit/scoring/__init__.py",
        "kit/scoring/score.py",
        "kit/scoring/jail.py",
        "kit/scoring/harness.py",
        "kit/scoring/runner.py",
        "kit/scoring/metrics/bleu/bleu.py",
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("kit/stages.py", "LIMIT = 3", "LIMIT = 5", {"train"}),
        ("kit/stages.py", "OTHER = 4", "OTHER = 5", {"score"}),
        ("kit/stages.py", "return job", "return None", {"train"}),
        ("kit/stages.py", "# nothing", "# a comment", set()),
        ("kit/records.py", "...", "pass", {"train"}),
        ("kit/train/loss.py", "", "x = 1", {"train"}),
        ("kit/data/table.json", "{}", "[]", {"train"}),
        ("kit/scoring/metrics/bleu/bleu.py", "evaluate", "sacrebleu", {"score"}),
        ("kit/report.py", "", "x = 1", set()),
        ("kit/data/unused.py", "", "x = 1", set()),
        ("kit/__init__.py", "1", "2", set()),
    ],
)
def test_a_change_reaches_exactly_the_right_stages(
    tree: Path, file: str, old: str, new: str, stale: set[str]
) -> None:
    stages = ("train", "score")
    before = {stage: Code(tree).files(f"kit.stages:{stage}") for stage in stages}
    path = tree / file
    path.write_text(path.read_text().replace(old, new, 1) if old else new)
    after = {stage: Code(tree).files(f"kit.stages:{stage}") for stage in stages}
    assert {stage for stage in stages if before[stage] != after[stage]} == stale


def test_ignored_modules_do_not_count(tree: Path) -> None:
    files = Code(tree, ignored=("kit.data", "kit.records")).files("kit.stages:train")
    assert not [name for name in files if name.startswith(("kit/data", "kit/records"))]


def test_an_unknown_entry_is_an_error(tree: Path) -> None:
    with pytest.raises(ValueError, match="no function generate"):
        Code(tree).files("kit.stages:generate")
    with pytest.raises(ValueError, match=r"no module kit\.nothing"):
        Code(tree).files("kit.nothing:train")


def test_the_kits_own_stages() -> None:
    code = Code(ROOT)
    files = {stage: set(code.files(entry)) for stage, entry in keys.ENTRIES.items()}
    for stage, used in files.items():
        assert f"bench/run/stages.py:{stage}" in used
        foreign = ("bench/report/", "bench/analysis/", "bench/grid/", "bench/cli.py", "bench/run/l")
        assert not [name for name in used if name.startswith(foreign)]
    assert {"bench/train/fit.py", "bench/data/packing.py"} <= files["train"]
    # Early stopping may watch CodeBLEU; nothing else of scoring decides a training.
    assert {name for name in files["train"] if name.startswith("bench/scoring/")} == {
        f"bench/scoring/{name}.py" for name in ("__init__", "admission", "codebleu", "rawstrings")
    }
    assert "bench/generate/decode.py" in files["generate"]
    # What is an answer is asked when it is scored: no model answers again for another rule.
    assert not [name for name in files["generate"] if name.startswith("bench/scoring/")]
    assert "bench/scoring/answers/braced.py" in files["score"] & files["embed"]
    assert "bench/scoring/score.py" in files["score"]
    assert [name for name in files["score"] if name.startswith("bench/scoring/metrics/")]
    assert not [name for name in files["score"] if name.startswith("bench/train/")]
