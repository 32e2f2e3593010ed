"""What stages would have to fetch from the network, told before any of them starts.

A stage never fetches. Without a base model nothing can be computed, so that is refused; a
metric whose tool or model is not here leaves its columns empty, so that is only told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.data import hub
from bench.errors import MachineError
from bench.grid.plan import EMBED, GENERATE, SCORE, PlannedStage
from bench.grid.study import HubBase, Study
from bench.scoring import hubmodels, judge
from bench.scoring.admission import NotRunError
from bench.scoring.quality import javatools
from bench.scoring.sandbox import packages, toolchain


def fetch_command(study: Study, *options: str) -> str:
    """The session that brings what a study reads."""
    with_ = [f"--with {option}" for option in study.with_]
    return " ".join(["nox -s fetch -- --study", study.name, *with_, *options])


def require_weights(study: Study, left: Sequence[PlannedStage], mirror: Path | None) -> None:
    """Refuse to start where a base model of the hub, which a stage that is left reads, is absent.

    Raises:
        MachineError: which models, which stages need them, and what brings them.
    """
    absent: dict[str, str] = {}
    waiting = []
    for stage in left:
        base = study.base(stage.size)
        if not reads_base(stage) or not isinstance(base, HubBase):
            continue
        if Path(base.repository).is_dir():
            continue
        if hub.find(hub.model(base.repository, base.revision), mirror) is None:
            absent[base.repository] = base.name
            waiting.append(stage.id)
    if absent:
        names = ", ".join(f"{repository} ({size})" for repository, size in absent.items())
        raise MachineError(
            f"not on this machine: {names}, which {len(waiting)} stages read, first {waiting[0]}",
            hint=f"{fetch_command(study)}; or name the folder that holds them: --mirror DIR",
        )


def reads_base(stage: PlannedStage) -> bool:
    """Whether a stage reads its base: full weights are read alone, an adapter with its base."""
    if stage.stage in (EMBED, SCORE):
        return False
    return not (stage.stage == GENERATE and stage.method == "mt-fft")


def of_scoring(study: Study, mirror: Path | None, *, in_images: bool = False) -> list[str]:
    """A line for all that scoring lacks here and what then has no value; tools are got first.

    ``in_images``: the tools are those of the image ``score``, so that none is looked for.
    """
    metrics = study.scoring.metrics
    lines = []
    if not in_images:
        absent = toolchain.prepare()
        lines += [f"{name} will not be executed: {why}" for name, why in absent.items()]
        absent = javatools.prepare(metrics)
        lines += [f"{name} will not run: {why}" for name, why in absent.items()]
        if lines and packages.offline():
            lines.append(f"what can be fetched of it, once: {fetch_command(study, '--tools')}")
    lines += [f"{name} has no values: {why}" for name, why in _models(metrics, mirror, in_images)]
    return lines


def not_fetched(study: Study, *, in_images: bool = False) -> list[str]:
    """A line for each metric that no fetch brings what it lacks: a service, or a private model."""
    metrics = [one for one in study.scoring.metrics if one != "bertscore"]
    return [f"{name}: {why}" for name, why in _models(metrics, None, in_images)]


def _models(metrics: Sequence[str], mirror: Path | None, in_images: bool) -> list[tuple[str, str]]:
    """The metrics that are models, or ask one, and cannot run here."""
    checks: dict[str, Callable[[], object]] = {
        "bertscore": lambda: hubmodels.folder(hubmodels.BERT, mirror),
        "side": lambda: hubmodels.side_folder("hard-negatives"),
        "judge": _no_network if in_images else _judge,
    }
    absent = []
    for name, check in checks.items():
        try:
            if name in metrics:
                check()
        except NotRunError as error:
            absent.append((name, str(error).removeprefix("not run: ")))
    return absent


def _no_network() -> None:
    raise NotRunError("it needs a network, and a container has none: score with --executor venv")


def _judge() -> None:
    judge.Judge.configured()
    if judge.obtainable() is None:
        raise NotRunError("the judge does not answer; start it, or name another one")
