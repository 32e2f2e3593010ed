"""The command line, one subcommand per thing that a user may want."""

from __future__ import annotations

import argparse
from pathlib import Path

import bench
from bench.cli import study, tools
from bench.data.sources import ROOT
from bench.records import TASKS
from bench.scoring import codereval
from bench.scoring.sandbox.jail import UNSAFE_OPTION

CODEREVAL_HELP = f"CoderEval's own environment, which has its tests (or {codereval.VARIABLE})"


def parser() -> argparse.ArgumentParser:
    """The command line, one subcommand per thing that a user may want."""
    top = argparse.ArgumentParser(prog="bench", description=bench.__doc__)
    top.add_argument("--version", action="version", version=bench.__version__)
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _declare_study(commands)
    _declare_selfcheck(commands)
    _declare_score(commands)
    _declare_reanalyse(commands)
    _declare_fetch(commands)
    _declare_claims(commands)
    doctor = commands.add_parser("doctor", help="what this machine can run, and what it lacks")
    doctor.set_defaults(command=tools.doctor)
    return top


def _of_a_study() -> argparse.ArgumentParser:
    """The options that every command on a study has."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--study", help="name of a study, or a TOML file (default: smoke)")
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
        type=Path,
        default=ROOT / "reports",
        metavar="DIR",
        help="where runs are kept (default: reports/)",
    )
    common.add_argument("--mirror", type=Path, metavar="DIR", help="folder with the public data")
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
    """``run``, ``plan`` and ``report``."""
    common = _of_a_study()
    run = commands.add_parser("run", parents=[common], help="run a study from data to report")
    run.add_argument("--jobs", type=_positive, metavar="N", help="stages at once (default: cores)")
    run.add_argument(
        "--executor",
        choices=["venv"],
        default="venv",
        help="how a stage is started: a process of this environment",
    )
    run.set_defaults(command=study.run)

    plan = commands.add_parser("plan", parents=[common], help="list cells and stages, run nothing")
    plan.add_argument("--json", action="store_true", help="machine-readable")
    plan.set_defaults(command=study.plan)

    report = commands.add_parser("report", parents=[common], help="render a stored run again")
    report.set_defaults(command=study.report)


def _declare_selfcheck(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``selfcheck``."""
    selfcheck = commands.add_parser(
        "selfcheck", help="execute the suites' reference solutions in the sandbox"
    )
    selfcheck.add_argument("--suite", action="append", default=[], help="only these (repeatable)")
    selfcheck.add_argument("--mirror", type=Path, metavar="DIR", help="folder with public data")
    selfcheck.add_argument("--codereval", metavar="IMAGE|DIR", help=CODEREVAL_HELP)
    selfcheck.set_defaults(command=tools.selfcheck)


def _declare_claims(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``claims``."""
    told = "decide the paper's claims on its published values"
    claims = commands.add_parser("claims", help=told)
    claims.add_argument("--mirror", type=Path, metavar="DIR", help="folder with public data")
    claims.add_argument("--json", type=Path, metavar="OUT", help="also write the evidence there")
    claims.set_defaults(command=tools.claims)


def _declare_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``score``."""
    score = commands.add_parser("score", help="score stored generations of any origin")
    score.add_argument(
        "--generations",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON Lines, each with an id and what was written: code, output or summary",
    )
    score.add_argument("--task", required=True, help=", ".join(TASKS))
    score.add_argument("--language", required=True, help="python, java, cs_java or java_cs")
    score.add_argument(
        "--variant",
        choices=["published", "corrected"],
        default="corrected",
        help="published repeats the study's scripts (default: corrected)",
    )
    score.add_argument(
        "--csv", type=Path, required=True, metavar="OUT", help="the table to write, a row per id"
    )
    score.add_argument("--mirror", type=Path, metavar="DIR", help="folder with the public data")
    score.add_argument(
        "--references", type=Path, metavar="FILE", help="JSON Lines, each with id and reference"
    )
    score.add_argument("--codereval", metavar="IMAGE|DIR", help=CODEREVAL_HELP)
    score.add_argument("--suite", help="of the kit's own generations, where they hold several")
    score.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="only these, for example lizard (repeatable; default: all but judge)",
    )
    score.add_argument("--offline", action="store_true", help="never touch the network")
    score.set_defaults(command=tools.score)


def _declare_fetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``fetch``."""
    fetch = commands.add_parser("fetch", help="download and verify what a study reads")
    fetch.add_argument("--study", help="name of a study, or a TOML file (default: smoke)")
    fetch.add_argument("--with", dest="options", action="append", default=[], metavar="OPTION")
    fetch.add_argument("--all", action="store_true", help="whatever the kit knows, for any study")
    fetch.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these files or repositories, for example '*CodeXGLUE*' (repeatable)",
    )
    fetch.add_argument("--data", type=Path, metavar="DIR", help="where to (default: .cache/data)")
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
        type=Path,
        metavar="DIR",
        help="folder with the public data, or a clone of the replication package",
    )
    redo.add_argument(
        "--outputs",
        type=Path,
        metavar="DIR",
        help="the published outputs, for example translation/cs_java/3b_st-qlora/outputs.jsonl",
    )
    redo.add_argument("--json", type=Path, metavar="OUT", help="also write rows and audits there")
    redo.add_argument("--markdown", type=Path, metavar="OUT", help="also write the report there")
    redo.add_argument(
        "--write-reference",
        action="store_true",
        help="write the published means anew: reports/reference/published.csv",
    )
    redo.set_defaults(command=tools.reanalyse)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)
