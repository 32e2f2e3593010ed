"""A run folder of the smoke study as the kit would leave it, made of invented numbers.

``python -m tests.fabricated_run`` writes the golden reports anew.
"""

from __future__ import annotations

import functools
import io
import json
import random
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from bench.analysis import comparisons
from bench.grid import store, study
from bench.grid.plan import beside, of_base, of_model
from bench.records import TRACKS, Outcome, StageRecord, Tokens, Track
from bench.report import brief, briefterminal, claims, content, page, results, terminal
from bench.report import folder as run_folder
from bench.report.document import Report

SMOKE = study.load("smoke")
PROBLEMS = 30
SKILL = {"base": 0.12, "st-qlora": 0.34, "mt-qlora": 0.36, "mt-fft": 0.46}
SIZE_BONUS = {"0.5m": 0.0, "2m": 0.09, "6m": 0.2}
SIZE_COST = {"0.5m": 1.0, "2m": 2.6, "6m": 6.1}
TEXT = {"bleu": 0.0, "chrf": 0.12, "rouge_l": 0.08, "meteor": 0.05}
PROVENANCE = {
    "schema": 1,
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
    "machine": {"cpu": "Example CPU 3000", "cores": 2, "memory_bytes": 8 * 2**30, "gpus": []},
    "libraries": {"torch": "2.13.0+cpu", "transformers": "5.23.0", "codebleu": None},
    "seed": 42,
    "command": ["bench", "run", "--study", "smoke"],
}


def _clipped(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)


def table(track: Track, skill: float, seed: str) -> pd.DataFrame:
    """Per-instance scores of one track; ``near`` problems are easier than ``far`` ones."""
    draw = random.Random(f"{track} {seed}")
    rows = []
    for index in range(PROBLEMS):
        difficulty = random.Random(f"{track} {index}").uniform(-0.15, 0.15)
        part = "near" if index < PROBLEMS // 2 else "far"
        level = skill - difficulty + (0.08 if part == "near" else -0.08)
        row: dict[str, str | float] = {"id": f"problem_{index:02}", "part": part}
        if track.task == "summarization":
            for name, bonus in TEXT.items():
                row[name] = _clipped(level + bonus + draw.gauss(0, 0.05))
            row["similarity"] = _clipped(sum(float(row[name]) for name in TEXT) / len(TEXT))
        else:
            row["pass@1"] = float(draw.random() < level - 0.3)
            row["codebleu"] = row["similarity"] = _clipped(level + draw.gauss(0.05, 0.04))
            row["chrf"] = _clipped(level + draw.gauss(0.1, 0.05))
            row["lizard_ccn"] = draw.randint(1, 9)
            row["lizard_detection"] = 1.0
            if track.language == "python":
                row["pylint_errors"] = draw.randint(0, 2)
                row["flake8_violations"] = draw.randint(0, 4)
        rows.append(row)
    return pd.DataFrame(rows)


def _score(work: Path, tasks: Collection[str], skill: float, seed: str) -> None:
    metrics: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    for track in (track for track in TRACKS if track.task in tasks):
        scores = table(track, skill, seed)
        if track.target_language == "csharp":
            scores = scores.drop(columns="pass@1")
        scores.to_csv(work / f"embedded.{track.task}-{track.language}.csv", index=False)
        for name in scores.columns.drop(["id", "part"]):
            metrics[f"{track}/{name}"] = float(scores[name].mean())
            if name in ("pass@1", "similarity"):
                for part, values in scores.groupby("part", sort=False)[name]:
                    metrics[f"{track}/{name}:{part}"] = float(values.mean())
        if track.target_language == "csharp":
            for key in (f"{track}/pass@1", f"{track}/pass@1:near", f"{track}/pass@1:far"):
                metrics[key] = None
                notes[key] = "not run: no .NET runtime"
    (work / "scores.json").write_text(json.dumps({"metrics": metrics, "notes": notes}))


def fabricate(folder: Path, *, oom: Collection[str] = (), of: study.Study = SMOKE) -> Path:
    """Write the run folder; the training of the cells in ``oom`` ran out of memory."""
    run = store.Store(folder)
    for size in SIZE_BONUS:
        for stage in of_base(SMOKE):
            _stage(run, f"bases/{size}", stage, SMOKE.tasks, "base", size)
    for cell in study.expand(of):
        for model in cell.models:
            name = run_folder.owner(cell, model.id)
            if cell.id in oom:
                _lost(run, name)
                continue
            for stage in (*of_model(of, model.tasks), *beside(of, cell)):
                _stage(run, name, stage, model.tasks, cell.method, cell.size)
    (folder / "run.json").write_text(json.dumps(PROVENANCE))
    return folder


def _cost(method: str, size: str, plan: str = "tuned") -> dict[str, Any]:
    """What a training's record says of its cost; as published QLoRA is the cheaper one."""
    full = method == "mt-fft"
    step_s = 0.1 * SIZE_COST[size] * (0.6 if full else 1.0)
    if plan == "published":
        step_s *= 5.0 if full else 2.0
    per_s = {"processed": 512 / step_s, "real": 500 / step_s, "trained": 250 / step_s}
    base = "full" if full else "dequantised" if plan == "tuned" else "4-bit"
    return {
        "setting": {"plan": plan, "micro_rows": 2 if plan == "tuned" else 1, "base": base},
        "weight_bytes": int(1_000_000 * SIZE_COST[size]),
        "steady": {
            "steps": 30,
            "warmup_steps": 10,
            "step_s": {"median": step_s, "p20": step_s, "p80": step_s},
            "cpu_s_per_step": 2 * step_s,
            "tokens_per_s": per_s,
            "data_wait_s": 0.001,
            "clock": "wall clock",
            "device_idle_share": None,
            "energy_j_per_step": None,
            "energy_reason": "no GPU",
            "notes": [],
        },
        "steady_reason": None,
        "mfu": None,
        "mfu_reason": "no GPU",
        "train_s": {"steps": 3.0, "data_wait": 0.1, "evaluate": 0.6, "save": 0.2, "other": 0.1},
    }


def _stage(
    run: store.Store, name: str, stage: str, tasks: Collection[str], method: str, size: str
) -> None:
    work, _ = run.prepare(name, stage, f"key of {name}/{stage}")
    if stage == "score":
        _score(work, tasks, SKILL[method] + SIZE_BONUS[size], f"{method} {size}")
    cost = SIZE_COST[size] * len(tasks) * {"mt-fft": 0.6, "base": 0.8}.get(method, 1.0)
    wall_s = {"base": 4.0, "train": 5.0, "measure": 1.0, "generate": 2.5, "score": 0.8}[
        stage
    ] * cost
    trains = stage in ("base", "train")
    parameters = {"0.5m": 515_040, "2m": 1_874_880, "6m": 6_034_176}[size]
    record = StageRecord(
        key=f"key of {name}/{stage}",
        stage=stage,
        outcome=Outcome.OK,
        reason=None,
        phases=(),
        wall_s=round(wall_s, 3),
        cpu_s=round(wall_s * 0.96, 3),
        peak_rss_bytes=int((380 + 45 * SIZE_COST[size] * (2 if method == "mt-fft" else 1)) * 2**20),
        peak_device_bytes=None,
        tokens=None if stage == "score" else Tokens(int(20480 * cost), int(19900 * cost), 19000),
        artifact_bytes=(4 * parameters if method in ("base", "mt-fft") else parameters // 4)
        if trains
        else None,
        files={},
        details=_cost(method, size, "published" if stage == "measure" else "tuned")
        if stage in ("train", "measure")
        else {},
    )
    store.seal(work, record)
    run.publish(name, stage)


def _lost(run: store.Store, name: str) -> None:
    work, _ = run.prepare(name, "train", f"key of {name}/train")
    record = StageRecord(
        key=f"key of {name}/train",
        stage="train",
        outcome=Outcome.OOM,
        reason="killed by the kernel for lack of memory",
        phases=(),
        wall_s=12.5,
        cpu_s=11.9,
        peak_rss_bytes=7 * 2**30,
        peak_device_bytes=None,
        tokens=None,
        artifact_bytes=None,
        files={},
        details={},
    )
    store.write_record(work, record)


GOLDEN = Path(__file__).parent / "golden"


@functools.cache
def reported(
    *oom: str, options: tuple[str, ...] = ()
) -> tuple[results.Results, list[comparisons.Comparison], Report]:
    """Results, comparisons and report of an invented run."""
    of = study.load("smoke", options)
    with tempfile.TemporaryDirectory() as name:
        run = run_folder.read(fabricate(Path(name), oom=oom, of=of), of)
        by_suite = run_folder.tables(run)
        rows = [
            row
            for suite, tables in by_suite.items()
            for row in comparisons.compare(run.cells, tables, suite=suite, seed=of.seed)
        ]
        summary = results.results(run)
        verdicts = claims.of_run(run, summary, by_suite)
        return summary, rows, content.build(summary, rows, of, verdicts)


def printed(report: Report, width: int, *, details: bool = False) -> str:
    """The report as a terminal without colours shows it."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(terminal.render(report, details=details))
    lines = console.file.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def briefly(report: Report, width: int, where: str = "reports/smoke") -> list[str]:
    """The lines of the brief report in a terminal of some width, with where its files lie."""
    blocks = (*report.brief, brief.where(where, SMOKE))
    return [line.plain for line in briefterminal.render(blocks, width)]


def goldens() -> dict[str, str]:
    """The golden files' names and what they should hold now."""
    report = reported("mt-fft-6m")[2]
    return {
        "report.md": page.markdown(report),
        "report-80.txt": printed(report, 80),
        "brief-80.txt": "\n".join(briefly(report, 80)) + "\n",
        "brief-140.txt": "\n".join(briefly(report, 140)) + "\n",
    }


if __name__ == "__main__":
    for golden, text in goldens().items():
        (GOLDEN / golden).write_text(text, encoding="utf-8")
