"""The same command again: what it costs to find that nothing is left to do."""

from __future__ import annotations

import ast
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.grid import keys, store, study
from bench.grid.plan import PlannedStage, plan
from bench.grid.store import State, Store
from bench.records import Outcome
from bench.run.local import Local
from bench.run.outcomes import bare_record
from bench.run.runner import Summary, run

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ROOT = Path(__file__).parents[2]


def ingredients() -> keys.Ingredients:
    return keys.Ingredients(sources=keys.sources(ROOT), environment=keys.environment(ROOT))


def planned(results: Store) -> tuple[PlannedStage, ...]:
    loaded = study.load("smoke")
    return plan(loaded, study.expand(loaded), results, ingredients())


@pytest.fixture
def finished(tmp_path: Path) -> Store:
    """A run folder in which every stage of the smoke study is done, with small outputs."""
    results = Store(tmp_path / "run")
    for stage in planned(results):
        work, _ = results.prepare(stage.owner, stage.stage, stage.key)
        for index in range(4):
            (work / f"output-{index}").write_bytes(b"x" * 4096)
        store.seal(work, bare_record(stage.key, stage.stage, Outcome.OK, None))
        results.publish(stage.owner, stage.stage)
    return results


def parsing_s() -> float:
    """CPU seconds to parse the package once: what every plan has to do on this machine."""
    texts = [path.read_bytes() for path in (ROOT / "bench").rglob("*.py")]
    start = time.process_time()
    for text in texts:
        ast.parse(text)
    return time.process_time() - start


@pytest.mark.benchmark(timer=time.process_time)
def test_a_second_run_of_the_smoke_study(benchmark: BenchmarkFixture, finished: Store) -> None:
    """From the TOML file to the summary: parse, hash the sources, plan, find all done."""

    def again() -> Summary:
        with finished.locked(), Local() as executor:
            stages = planned(finished)
            assert {stage.state for stage in stages} == {State.DONE}
            return run(stages, study.load("smoke"), finished, executor)

    summary = benchmark(again)
    assert summary.ok
    assert summary.executed == ()
    assert benchmark.stats.stats.min < 2 * min(parsing_s() for _ in range(3))


def test_hashing_the_sources(benchmark: BenchmarkFixture) -> None:
    assert set(benchmark(keys.sources, ROOT)) == set(keys.ENTRIES)
