"""The command line, one subcommand per thing that a user may want."""

from __future__ import annotations

import argparse

import bench
from bench import places
from bench.cli import (
    amounts,
    bases,
    building,
    comparing,
    executors,
    paths,
    profiling,
    study,
    tools,
    verifying,
)
from bench.cli.commandline import Top
from bench.records import TASKS
from bench.run import gpuchoice
from bench.run.job import CHECKPOINT_MINUTES
from bench.scoring import codereval
from bench.scoring.sandbox.jail import UNSAFE_OPTION

STUDY_HELP = (
    "name of a study, or a TOML file (default: paper where a CUDA GPU is visible, else smoke)"
)
CODEREVAL_HELP = f"CoderEval's own environment, which has its tests (or {codereval.VARIABLE})"


def parser() -> Top:
    """The command line, one subcommand per thing that a user may want."""
    top = Top("bench", bench.__doc__)
    top.add_argument("--version", action="version", version=bench.__version__)
    commands = top.declared
    _declare_study(commands)
    _declare_selfcheck(commands)
    _declare_score(commands)
    _declare_reanalyse(commands)
    _declare_fetch(commands)
    building.declare(commands)
    bases.declare(commands)
    _declare_claims(commands)
    _declare_verify(commands)
    comparing.declare(commands)
    profiling.declare(commands)
    doctor = commands.add_parser("doctor", help="what this machine can run, and what it lacks")
    doctor.set_defaults(command=tools.doctor)
    top.finish()
    return top


def _of_a_study() -> argparse.ArgumentParser:
    """The options that every command on a study has."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--study", help=STUDY_HELP)
    common.add_argument(
        "--with",
        dest="options",
        action="append",
        default=[],
        metavar="OPTION",
        help="add an option of the study, for example rq3 of the study paper (repeatable)",
    )
    common.add_argument(
        "--cells",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these cells, for example 'st-*' or mt-qlora-2m (repeatable)",
    )
    common.add_argument(
        "--results",
        type=paths.folder,
        default=places.reports(),
        metavar="DIR",
        help="where runs are kept (default: reports/)",
    )
    common.add_argument(
        "--mirror", type=paths.path, metavar="DIR", help="folder with the public data"
    )
    common.add_argument(
        "--executor",
        choices=executors.NAMES,
        help="where stages run: in containers, or in this environment (default: containers "
        f"where podman or docker answers; or {executors.VARIABLE})",
    )
    common.add_argument("--offline", action="store_true", help="never touch the network")
    common.add_argument("--codereval", metavar="IMAGE|DIR", help=CODEREVAL_HELP)
    common.add_argument(
        UNSAFE_OPTION,
        dest="unsafe",
        action="store_true",
        help="execute model-written code unconfined where no sandbox works",
    )
    return common


def _declare_study(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``run``, ``plan``, ``generate`` and ``report``; ``score`` is one of them, too."""
    common, running, earlier = _of_a_study(), _of_a_run(), _of_an_earlier_run()
    models = _of_models()
    told = "run a study from data to report"
    run = commands.add_parser("run", parents=[common, running, models, earlier], help=told)
    run.add_argument(
        "--yes", action="store_true", help="fetch what the study reads and is not here, unasked"
    )
    run.set_defaults(command=study.run)

    plan = commands.add_parser("plan", parents=[common], help="list cells and stages, run nothing")
    plan.add_argument("--json", action="store_true", help="machine-readable")
    plan.add_argument(
        "--start",
        choices=["base", "generate", "score"],
        default="base",
        help="as `generate` or `score` would run: what comes before is adopted (default: base)",
    )
    plan.add_argument(
        "--gpu", metavar="NAME", help="hours and memory on this GPU, for example 'NVIDIA H200'"
    )
    plan.add_argument(
        "--gpus",
        type=amounts.positive,
        metavar="N",
        help="wall hours on so many of them side by side",
    )
    plan.add_argument(
        "--write-reference",
        action="store_true",
        help="keep what this study's run has cost with the kit: reports/reference/",
    )
    plan.set_defaults(command=study.plan)

    told = "generate anew from stored trained models, then score and report"
    generate = commands.add_parser(
        "generate", parents=[common, running, models, earlier], help=told
    )
    generate.set_defaults(command=study.generate)

    report = commands.add_parser(
        "report", parents=[common, earlier], help="render a stored run again"
    )
    report.add_argument(
        "--full", action="store_true", help="all tables, hundreds of lines, instead of one screen"
    )
    report.add_argument(
        "--readme",
        nargs="?",
        type=paths.path,
        const=places.ROOT / "README.md",
        metavar="FILE",
        help="put an excerpt between the markers of a document (default: the kit's README)",
    )
    report.set_defaults(command=study.report)


def _of_a_run() -> argparse.ArgumentParser:
    """The options of the commands that execute stages."""
    running = argparse.ArgumentParser(add_help=False)
    running.add_argument(
        "--full", action="store_true", help="end with the whole report instead of one screen of it"
    )
    running.add_argument(
        "--jobs",
        type=amounts.positive,
        metavar="N",
        help="stages at once, beside one on each GPU (default: as many as fit)",
    )
    running.add_argument(
        "--anyway", action="store_true", help="run even what surely does not fit this machine"
    )
    running.add_argument(
        "--stage-hours",
        type=amounts.hours,
        metavar="H",
        help="end a stage that takes longer; its checkpoints stay, and the same command goes on",
    )
    return running


def _of_models() -> argparse.ArgumentParser:
    """The options of the commands that compute with models."""
    models = argparse.ArgumentParser(add_help=False)
    models.add_argument(
        "--gpus",
        metavar="all|none|LIST",
        help="GPUs by number or UUID among those that CUDA_VISIBLE_DEVICES shows, for example "
        "0,2: one model on each at a time (default: all that can be used)",
    )
    models.add_argument(
        "--checkpoint-minutes",
        type=amounts.minutes,
        default=CHECKPOINT_MINUTES,
        metavar="N",
        help="a training keeps what it has at least so often, and whenever it is asked to end "
        f"(default: {CHECKPOINT_MINUTES:g})",
    )
    return models


def _of_an_earlier_run() -> argparse.ArgumentParser:
    """The options of the commands that build on what is stored."""
    earlier = argparse.ArgumentParser(add_help=False)
    earlier.add_argument(
        "--from",
        dest="earlier",
        type=paths.path,
        metavar="PATH",
        help="an earlier run's folder, or an archive of one, whose stages are taken over first",
    )
    earlier.add_argument(
        "--replace-older",
        action="store_true",
        help="with --from: also in place of models that lie here and are older",
    )
    return earlier


def _declare_selfcheck(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``selfcheck``."""
    selfcheck = commands.add_parser(
        "selfcheck", help="execute the suites' reference solutions in the sandbox"
    )
    selfcheck.add_argument("--suite", action="append", default=[], help="only these (repeatable)")
    selfcheck.add_argument(
        "--mirror", type=paths.path, metavar="DIR", help="folder with public data"
    )
    selfcheck.add_argument("--codereval", metavar="IMAGE|DIR", help=CODEREVAL_HELP)
    selfcheck.set_defaults(command=tools.selfcheck)


def _declare_claims(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``claims``."""
    told = "decide the paper's claims on its published values"
    claims = commands.add_parser("claims", help=told)
    claims.add_argument("--mirror", type=paths.path, metavar="DIR", help="folder with public data")
    claims.add_argument(
        "--json", type=paths.output, metavar="OUT", help="also write the evidence there"
    )
    claims.set_defaults(command=tools.claims)


def _declare_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``verify``."""
    told = "hash a stored run again: files, keys, code, data, images"
    verify = commands.add_parser("verify", help=told)
    verify.add_argument(
        "run", type=paths.path, metavar="RUN", help="folder of a run, or the name of a study's"
    )
    verify.add_argument("--study", help="the study to compare with (default: the one it names)")
    verify.add_argument("--with", dest="options", action="append", default=[], metavar="OPTION")
    verify.add_argument(
        "--results",
        type=paths.folder,
        default=places.reports(),
        metavar="DIR",
        help="where runs are kept (default: reports/)",
    )
    verify.add_argument(
        "--mirror", type=paths.path, metavar="DIR", help="folder with the public data"
    )
    verify.add_argument(
        "--like",
        type=paths.path,
        metavar="RUN2",
        help="compare with another run instead: are weights, answers and values the same?",
    )
    verify.set_defaults(command=verifying.verify)


def _declare_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``score``: of a study's run, or of a file."""
    score = commands.add_parser(
        "score",
        parents=[_of_a_study(), _of_a_run(), _of_an_earlier_run()],
        help="score a run's stored generations again, or a file of any origin",
    )
    file = score.add_argument_group("a file instead of a run")
    file.add_argument(
        "--generations",
        type=paths.path,
        metavar="FILE",
        help="JSON Lines, each with an id and what was written: code, output or summary, "
        "or text: all that a model said, to be cut to its answer",
    )
    file.add_argument("--task", help=", ".join(TASKS))
    file.add_argument("--language", help="python, java, cs_java or java_cs")
    file.add_argument(
        "--variant",
        choices=["published", "corrected"],
        help="published repeats the study's scripts (default: corrected)",
    )
    file.add_argument(
        "--csv", type=paths.output, metavar="OUT", help="the table to write, a row per id"
    )
    file.add_argument(
        "--references",
        type=paths.path,
        metavar="FILE",
        help="JSON Lines, each with id and reference",
    )
    file.add_argument(
        "--suite", help="whose problems the lines answer, where they do not say or are of several"
    )
    file.add_argument(
        "--extract", action="store_true", help="cut what is stored as code to its answer, too"
    )
    file.add_argument(
        "--answers",
        type=paths.output,
        metavar="OUT",
        help="JSON Lines: each answer, and what was cut",
    )
    file.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="only these, for example lizard (repeatable; default: all but judge)",
    )
    score.set_defaults(
        command=study.score, gpus=gpuchoice.NONE, checkpoint_minutes=CHECKPOINT_MINUTES
    )


def _declare_fetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``fetch``."""
    fetch = commands.add_parser("fetch", help="download and verify what a study reads")
    fetch.add_argument(
        "what", nargs="?", choices=["images"], help="what the container images are made of instead"
    )
    building.declare_sources(fetch.add_argument_group("of images"))
    fetch.add_argument("--study", help=STUDY_HELP)
    fetch.add_argument("--with", dest="options", action="append", default=[], metavar="OPTION")
    fetch.add_argument(
        "--cells",
        action="append",
        default=[],
        metavar="PATTERN",
        help="of the study's bases only those of these cells, for example '*-1.5b' (repeatable)",
    )
    fetch.add_argument("--all", action="store_true", help="whatever the kit knows, for any study")
    fetch.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these files or repositories, for example '*CodeXGLUE*' (repeatable)",
    )
    fetch.add_argument(
        "--tools",
        action="store_true",
        help="also what scoring uses without containers: .NET with Roslyn, and PMD if asked for",
    )
    fetch.add_argument(
        "--data", type=paths.folder, metavar="DIR", help="where to (default: .cache/data)"
    )
    fetch.add_argument("--list", action="store_true", help="show sources, licences and citations")
    fetch.add_argument("--offline", action="store_true", help="only say what is not here")
    fetch.set_defaults(command=tools.fetch)


def _declare_reanalyse(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``reanalyse``."""
    redo = commands.add_parser(
        "reanalyse", help="redo the paper's statistics from its per-instance values"
    )
    redo.add_argument(
        "--mirror",
        type=paths.path,
        metavar="DIR",
        help="folder with the public data, or a clone of the replication package",
    )
    redo.add_argument(
        "--outputs",
        type=paths.path,
        metavar="DIR",
        help="the published outputs, for example translation/cs_java/3b_st-qlora/outputs.jsonl",
    )
    redo.add_argument(
        "--json", type=paths.output, metavar="OUT", help="also write rows and audits there"
    )
    redo.add_argument(
        "--markdown", type=paths.output, metavar="OUT", help="also write the report there"
    )
    redo.add_argument(
        "--write-reference",
        action="store_true",
        help="write the published means anew: reports/reference/published.csv",
    )
    redo.set_defaults(command=tools.reanalyse)
