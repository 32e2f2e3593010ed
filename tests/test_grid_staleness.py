"""Each kind of change makes exactly the right stages stale, in a checkout with real keys.

A copy of the kit is changed as its developers and users change it: code, locks, data,
options, images, documents. Nothing is injected but the images' ids.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.data import digests, sources
from bench.grid import keys, study
from bench.grid.plan import PlannedStage, plan
from bench.grid.store import Store
from bench.run import ingredients

ROOT = Path(__file__).parent.parent
MINI = study.load("mini")
IMAGES = {"run": "1" * 64, "score": "2" * 64}

NONE, ALL, CELLS = r"(?!)", r".*", r"cells/.*"
GENERATE_ON, SCORES = r".*/(generate|score)", r".*/score"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout: all that git keeps of the kit, without its tests."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("bench", "containers", "datasets", "reports/reference"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in ("README.md", "pyproject.toml", "noxfile.py"):
        shutil.copy(ROOT / name, root / name)
    return root


def planned(
    root: Path, asked: study.Study = MINI, images: Mapping[str, str] | None = None
) -> dict[str, PlannedStage]:
    found = ingredients.present(asked, root, None, images=images)
    stages = plan(asked, study.expand(asked), Store(root / "nothing"), found)
    return {stage.id: stage for stage in stages}


def stale(before: Mapping[str, PlannedStage], after: Mapping[str, PlannedStage]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name].key != after[name].key}


def expected(stages: Mapping[str, PlannedStage], pattern: str) -> set[str]:
    return {name for name in stages if re.fullmatch(pattern, name)}


#: A file of the checkout, and which stages are stale once a line is added to it.
FILES = {
    "bench/train/bases.py": ALL,  # every base is made by it
    "bench/train/fit.py": CELLS,
    "bench/generate/decode.py": GENERATE_ON,
    "bench/data/problems.py": GENERATE_ON,
    "bench/scoring/metrics/lizard/lizard.py": SCORES,
    "bench/scoring/sandbox/inside/java/Run.java": SCORES,
    "bench/scoring/codebleu.py": rf"{CELLS}|{SCORES}",  # early stopping may watch it
    "containers/locks/run.txt": ALL,
    "containers/locks/score.txt": SCORES,
    "containers/locks/torch-cpu.txt": ALL,
}
#: Files that decide no result: they measure, plan, start and report stages, or describe them.
HARMLESS = (
    "bench/measure.py",
    "bench/cgroups.py",
    "bench/report/page.py",
    "bench/report/templates/page.html.j2",
    "bench/analysis/statistics.py",
    "bench/grid/plan.py",
    "bench/run/runner.py",
    "bench/run/container.py",
    "bench/cli/study.py",
    "bench/studies/claims.toml",
    "containers/locks/torch-cuda.txt",  # of the other build
    "containers/locks/venv.txt",  # the tests' tools are its only further lines
    "README.md",
    "pyproject.toml",
    "noxfile.py",
)


@pytest.fixture(autouse=True)
def torch_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_torch", lambda: "2.13.0+cpu")


@pytest.fixture(scope="module")
def code(checkout: Path) -> dict[str, dict[str, str]]:
    return keys.sources(checkout)


@pytest.fixture
def read_once(monkeypatch: pytest.MonkeyPatch, code: dict[str, dict[str, str]]) -> None:
    """The code is not what changes here."""
    monkeypatch.setattr(keys, "sources", lambda root, entries=keys.ENTRIES: code)


@contextlib.contextmanager
def changed(root: Path, *names: str) -> Iterator[None]:
    """Some files of a checkout with one more line."""
    kept = {name: (root / name).read_bytes() for name in names}
    for name, content in kept.items():
        (root / name).write_bytes(content + b"\n# changed\n")
    try:
        yield
    finally:
        for name, content in kept.items():
            (root / name).write_bytes(content)


@pytest.fixture(scope="module")
def before(checkout: Path, code: dict[str, dict[str, str]]) -> dict[str, PlannedStage]:
    """The plan of the unchanged copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_torch", lambda: "2.13.0+cpu")
        patch.setattr(keys, "sources", lambda root, entries=keys.ENTRIES: code)
        return planned(checkout)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_of_the_checkout(
    checkout: Path, before: dict[str, PlannedStage], name: str
) -> None:
    with changed(checkout, name):
        assert stale(before, planned(checkout)) == expected(before, FILES[name])


def test_files_that_decide_no_result(checkout: Path, before: dict[str, PlannedStage]) -> None:
    with changed(checkout, *HARMLESS):
        assert stale(before, planned(checkout)) == set()


#: A data file, and which stages are stale once it is another.
DATA = {
    # Of one suite, in one track: a problem is asked of whoever learned the task.
    "humaneval/HumanEval.jsonl.gz": r"(bases/.*|cells/mt-.*|.*/generation)/(generate|score)",
    "g-transeval/Type1/Java.test": r"(bases/.*|cells/mt-.*|.*/translation)/(generate|score)",
    # Of training.
    "codexglue/code-to-text/python/test_subset.jsonl": (
        r"cells/(mt-.*|.*/(generation|summarization)/.*)"
    ),
    "codexglue/code-to-code-trans/train.java-cs.txt.cs": r"cells/(mt-.*|.*/translation/.*)",
    # Of a suite that the study does not have.
    "paper_package/prompts.json": NONE,
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.usefixtures("read_once")
def test_a_changed_data_file(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    first = planned(ROOT)
    manifest = dict(sources.manifest())
    manifest[name] = dataclasses.replace(manifest[name], sha256="0" * 64)
    monkeypatch.setattr(digests, "manifest", lambda: manifest)
    assert stale(first, planned(ROOT)) == expected(first, DATA[name])


def change(**changes: Any) -> Callable[[study.Study], study.Study]:
    """A study with an option changed, by its dotted name with ``__``."""

    def apply(one: study.Study) -> study.Study:
        content = study.canonical(one)
        for name, value in changes.items():
            *parents, last = name.split("__")
            inner: Any = content
            for parent in parents:
                inner = inner[int(parent)] if parent.isdigit() else inner[parent]
            assert inner[last] != value
            inner[last] = value
        return study.Study.model_validate(content)

    return apply


ENCODING = change(scoring__metrics=["bertscore"])(MINI)
OPTIONS = {
    "a summary": (change(summary="other"), NONE),
    "tokens of generation": (
        change(decoding__new_tokens__generation=77),
        r"(bases/.*|cells/mt-.*|.*/generation)/(generate|score)",
    ),
    "learning rate of QLoRA": (
        change(training__qlora__learning_rate=1e-5),
        r"cells/(st|mt)-qlora-.*",
    ),
    "learning rate of full": (change(training__full__learning_rate=1e-5), r"cells/mt-fft-.*"),
    "a metric": (change(scoring__metrics=["pmd"]), SCORES),
    "a suite's cap": (change(suites__2__max_problems_per_track=3), GENERATE_ON),
    "steps of one base": (
        change(sizes__1__pretrain_steps=7),
        r"bases/2m/.*|cells/[a-z-]*-2m/.*",
    ),
    "seed": (change(seed=7), ALL),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.usefixtures("read_once")
def test_a_changed_option_of_the_study(name: str) -> None:
    changed, pattern = OPTIONS[name]
    first = planned(ROOT)
    assert stale(first, planned(ROOT, changed(MINI))) == expected(first, pattern)


EMBEDS = r"(bases/.*|cells/mt-.*|.*/summarization)/embed"


@pytest.mark.usefixtures("read_once")
def test_a_metric_that_is_an_encoder_adds_its_stage() -> None:
    """Of the models that write summaries; what they have written stands."""
    first = planned(ROOT)
    after = planned(ROOT, ENCODING)
    assert after.keys() - first.keys() == expected(after, EMBEDS)
    assert stale(first, {name: after[name] for name in first}) == expected(first, SCORES)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("bench/scoring/bertscore.py", rf"{EMBEDS}|{SCORES}"),
        ("bench/scoring/sentences.py", rf"{EMBEDS}|{SCORES}"),
        ("bench/scoring/metrics/lizard/lizard.py", SCORES),
        ("bench/scoring/execution.py", SCORES),
        ("bench/generate/decode.py", r".*/(generate|embed|score)"),
        ("containers/locks/score.txt", SCORES),
    ],
)
def test_a_changed_file_where_an_encoder_measures(checkout: Path, name: str, pattern: str) -> None:
    first = planned(checkout, ENCODING)
    with changed(checkout, name):
        assert stale(first, planned(checkout, ENCODING)) == expected(first, pattern)


@pytest.mark.parametrize(
    ("images", "pattern"),
    [
        (IMAGES, NONE),
        ({**IMAGES, "run": "9" * 64}, ALL),
        ({**IMAGES, "score": "9" * 64}, SCORES),
        ({**IMAGES, "base": "9" * 64}, NONE),  # it stands in the ids of the others
        (None, ALL),
    ],
    ids=["the same", "run", "score", "base", "without containers"],
)
@pytest.mark.usefixtures("read_once")
def test_a_changed_image(images: Mapping[str, str] | None, pattern: str) -> None:
    first = planned(ROOT, images=IMAGES)
    assert stale(first, planned(ROOT, images=images)) == expected(first, pattern)


FINISH = """
import sys
from pathlib import Path
from bench.grid import store, study
from bench.grid.plan import plan
from bench.records import Outcome
from bench.run import ingredients
from bench.run.outcomes import bare_record
smoke, results = study.load("smoke"), store.Store(Path(sys.argv[1]) / "smoke")
found = ingredients.present(smoke, Path.cwd(), None)
for stage in plan(smoke, study.expand(smoke), results, found):
    work, _ = results.prepare(stage.owner, stage.stage, stage.key, stage.made_of)
    store.seal(work, bare_record(stage.key, stage.stage, Outcome.OK, None))
    results.publish(stage.owner, stage.stage)
"""


@pytest.mark.slow
def test_the_command_says_in_words_what_changed(checkout: Path, tmp_path: Path) -> None:
    """Through the command line of the copied checkout, from a finished run to its plan."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "BENCH_EXECUTOR": "venv"}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    python("-c", FINISH, str(tmp_path))
    for name in ("bench/scoring/score.py", "README.md", "datasets/prompts/kit.toml"):
        with (checkout / name).open("a") as file:
            file.write("\n# changed\n")
    command = ["-m", "bench", "plan", "--study", "smoke", "--results", str(tmp_path), "--json"]
    told = json.loads(python(*command))
    whys = {
        f"bases/{base['size']}/{stage['name']}": stage.get("why")
        for base in told["bases"]
        for stage in base["stages"]
    }
    whys |= {
        f"cells/{cell['id']}/{model['id']}/{stage['name']}": stage.get("why")
        for cell in told["cells"]
        for model in cell["models"]
        for stage in model["stages"]
    }
    wording, before_it = "data datasets/prompts/kit.toml", "source bench/scoring/score.py"
    # The tiny bases are taught in this wording: those that come with the kit are others now.
    taught, shipped = sorted(whys["bases/2m/base"], reverse=True)
    assert taught.startswith("option taught: ")
    assert shipped.startswith("option shipped: ")
    assert shipped.endswith("→ none")
    assert whys["bases/2m/generate"] == [wording, "base before it"]
    assert whys["bases/2m/score"] == [before_it, "generate before it"]
    assert whys["cells/mt-fft-2m/multi-task/train"] == [wording, "base before it"]
    assert whys["cells/mt-fft-2m/multi-task/generate"] == [wording, "train before it"]
    assert whys["cells/mt-fft-2m/multi-task/score"] == [before_it, "generate before it"]
