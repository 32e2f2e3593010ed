"""A report of stages that do not belong together says so first, and names what differs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import DataError
from bench.grid import intact, study
from bench.grid.store import Store
from bench.records import Outcome
from bench.report import folder as run_folder
from bench.report import mixture, page, publish, results
from bench.report.mixture import Origin
from bench.run.outcomes import bare_record
from tests.amended import amend
from tests.fabricated_run import fabricate, printed

HERE = {
    "executor": "venv",
    "engine": None,
    "git": {"commit": "a" * 40, "dirty": False},
    "machine": {"cpu": "Small CPU", "cores": 2, "memory_bytes": 8 * 2**30, "gpus": []},
}
GPU = {"name": "NVIDIA H200", "memory_bytes": 2**37, "driver": "570.1"}


def origin(stage: str = "train", number: int = 0, **changes: Any) -> Origin:
    """The origin of a stage as the kit keeps it, with some of it changed."""
    record = bare_record(f"{number:064}", stage, changes.pop("outcome", Outcome.OK), None)
    software = {"python": "3.11.2", "torch": "2.13.0+cpu", **changes.pop("software", {})}
    environment = {"locks": {"run.txt": "0"}, **changes.pop("environment", {})}
    sources = {"bench/data/rows.py": "0", **changes.pop("sources", {})}
    made_of = {"sources": sources, "environment": environment}
    return Origin(dataclasses.replace(record, software=software), made_of, {**HERE, **changes})


def told(*origins: Origin) -> list[str]:
    return [str(one) for one in mixture.differences(origins)]


def test_a_single_provenance_has_no_line() -> None:
    same = [origin(stage, number) for number, stage in enumerate(("base", "train", "score"))]
    assert mixture.differences(same) == ()
    assert mixture.line(()) is None


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"machine": {**HERE["machine"], "cpu": "Large CPU", "gpus": [GPU]}},
            "hardware of 1 of 4 stages (processor: Small CPU | Large CPU; "
            "GPU: none | NVIDIA H200 (driver 570.1))",
        ),
        (
            {"executor": "container", "engine": {"name": "podman", "version": "4.3.1"}},
            "executor of 1 of 4 stages (started by: venv | container podman)",
        ),
        (
            {"software": {"torch": "2.12.0+cpu"}},
            "environment of 1 of 4 stages (torch: 2.13.0+cpu | 2.12.0+cpu)",
        ),
        (
            {"environment": {"locks": {"run.txt": "1"}}},
            "environment of 1 of 4 stages (lock run.txt)",
        ),
        (
            {"sources": {"bench/data/rows.py": "1"}},
            "code of 1 of 4 stages (bench/data/rows.py)",
        ),
        (
            {
                "sources": {"bench/data/rows.py": "1"},
                "git": {"commit": "b" * 40, "dirty": True},
            },
            "code of 1 of 4 stages (commit aaaaaaaaaa | commit bbbbbbbbbb (modified); "
            "bench/data/rows.py)",
        ),
    ],
)
def test_what_differs_is_named_and_counted(changes: dict[str, Any], line: str) -> None:
    assert told(*(origin() for _ in range(3)), origin(**changes)) == [line]


def test_images_are_compared_by_their_role() -> None:
    run, score = {"image": "sha256:" + "1" * 64}, {"image": "sha256:" + "2" * 64}
    fitting = [origin("train", environment=run), origin("score", environment=score)]
    assert told(*fitting) == []
    other = origin("score", environment={"image": "sha256:" + "3" * 64})
    assert told(*fitting, other) == [
        "image of 1 of 3 stages (score image: 222222222222 | 333333333333)"
    ]


@pytest.mark.parametrize(
    "harmless",
    [
        {"git": {"commit": "b" * 40, "dirty": True}},  # the code that stages use is the same
        {"machine": {**HERE["machine"], "memory_bytes": 8 * 2**30 - 5_000_000, "kernel": "6"}},
        {"software": {"lizard": None}},  # an image has what its stages need
        {"jobs": 7, "command": ["bench", "run", "--cells", "mt-*"]},
        {"outcome": Outcome.FAILED, "executor": "container"},
    ],
)
def test_what_matters_to_no_figure_is_no_mixture(harmless: dict[str, Any]) -> None:
    assert told(origin(), origin(), origin(**harmless)) == []


def test_times_are_warned_about_where_the_hardware_differs() -> None:
    machine = {**HERE["machine"], "cores": 64}
    line = mixture.line(mixture.differences([origin(), origin(machine=machine)]))
    assert line is not None
    assert line.startswith("Mixed provenance: hardware of 1 of 2 stages (cores: 2 | 64)")
    assert line.endswith(mixture.TIMES)
    line = mixture.line(mixture.differences([origin(), origin(executor="container")]))
    assert line is not None
    assert mixture.TIMES not in line


def test_much_that_differs_is_counted() -> None:
    many = {f"bench/{name}.py": "1" for name in "abcde"}
    before = dict.fromkeys(many, "0")
    assert told(origin(sources=before), origin(sources=many)) == [
        "code of 1 of 2 stages (bench/a.py; bench/b.py; bench/c.py; 2 more)"
    ]


FIRST = {**HERE, "schema": 1}
ELSEWHERE = {**FIRST, "machine": {**HERE["machine"], "cores": 64}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An invented run whose stages all name one provenance, as the runner leaves it."""
    fabricate(tmp_path / "smoke")
    (tmp_path / "smoke" / "provenance").mkdir()
    for content in (FIRST, ELSEWHERE):
        name = f"{intact.name_of(content)}.json"
        (tmp_path / "smoke" / "provenance" / name).write_text(json.dumps(content))
    (tmp_path / "smoke" / "run.json").write_text(json.dumps(FIRST))
    for record in (tmp_path / "smoke").rglob("record.json"):
        amend(record, provenance=intact.name_of(FIRST))
    return tmp_path / "smoke"


def test_every_rendering_says_it_first(run: Path) -> None:
    loaded = study.load("smoke")
    whole = results.results(run_folder.read(run, loaded))
    assert results.MIXED not in whole["notes"]
    moved = [f"cells/mt-fft-{size}/multi-task" for size in ("0.5m", "2m")]
    for owner in moved:
        there = intact.name_of(ELSEWHERE)
        amend(Store(run).path(owner, "train") / "record.json", provenance=there)
    report = publish.publish(run, loaded)
    line = "Mixed provenance: hardware of 2 of 54 stages (cores: 2 | 64)"
    assert report.lead[0].startswith(line)
    assert report.lead[1].startswith("Study smoke")
    assert printed(report, 200).startswith(line)
    markdown = page.markdown(report).splitlines()
    assert markdown[0].startswith("# ")
    assert next(one for one in markdown[1:] if one).startswith("Mixed provenance: hardware of 2")
    html = (run / "report.html").read_text()
    assert html.index(line) < html.index("Study smoke: 9 cells")
    stored = json.loads((run / "results.json").read_text())
    assert stored["notes"][results.MIXED] == report.lead[0]
    (costs,) = [section for section in report.sections if section.title == "Costs"]
    assert mixture.TIMES in costs.text, "seconds stand there"


def test_an_altered_provenance_is_not_reported(run: Path) -> None:
    loaded = study.load("smoke")
    path = run / "provenance" / f"{intact.name_of(ELSEWHERE)}.json"
    whole = path.read_text()
    path.write_text(whole.replace("64", "65"))
    with pytest.raises(DataError, match="its content is not what it is named after"):
        run_folder.read(run, loaded)
    path.write_text(whole)
    (run / "run.json").write_text(json.dumps({**FIRST, "machine": {"cpu": "a better one"}}))
    with pytest.raises(DataError, match=r"run\.json: is none of those in provenance/"):
        run_folder.read(run, loaded)
