"""The command line as a whole: commands by purpose, an example for each, and mistyped words.

What argparse would tell over several lines of usage is one line here, with the next step: the
nearest command, option or value.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from bench.errors import BenchError
from bench.grid import tables

#: Every command by what people want of it, in the order in which they will.
PURPOSES: Mapping[str, tuple[str, ...]] = {
    "A study, whole": ("run", "plan", "fetch", "doctor", "profile"),
    "Again, or in part, from what is stored": ("report", "compare", "generate", "score", "verify"),
    "The paper's own values, without a model": ("reanalyse", "claims"),
    "The kit itself": ("selfcheck", "images", "bases", "lock"),
}
#: What to type, as an example of each command.
EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "run": ("bench run --study smoke", "bench run --study paper --cells '*-1.5b' --yes"),
    "plan": ("bench plan --study paper --gpu 'NVIDIA H100 80GB HBM3' --gpus 8",),
    "fetch": ("bench fetch --study paper --list", "bench fetch images"),
    "doctor": ("bench doctor",),
    "profile": ("bench profile --item 'train 3b' --minutes 2",),
    "report": ("bench report --study smoke", "bench report --study smoke --full"),
    "generate": ("bench generate --study smoke --cells st-qlora-2m",),
    "score": (
        "bench score --study smoke --from earlier-run.zip",
        "bench score --generations answers.jsonl --task generation --language python "
        "--csv scores.csv",
    ),
    "compare": ("bench compare reports/smoke before.tar.gz",),
    "verify": ("bench verify reports/smoke", "bench verify reports/smoke --like reports/again"),
    "reanalyse": ("bench reanalyse --mirror DIR --markdown statistics.md",),
    "claims": ("bench claims --mirror DIR --json claims.json",),
    "selfcheck": ("bench selfcheck", "bench selfcheck --suite humaneval --mirror DIR"),
    "images": ("bench images --again",),
    "bases": ("bench bases --study smoke",),
    "lock": ("bench lock -- --upgrade",),
}
#: Words that people know from the sessions of nox, or expect, and the command that it is here.
_ELSEWHERE = {"reproduce": "run", "cell": "run", "help": "--help"}
_SESSIONS = ("tests", "lint", "gpu", "benchmarks")
_CHOICE = re.compile(r"(?P<where>.*)invalid choice: (?P<given>.+?) \(choose from (?P<valid>.*)\)")
_TOLD = (
    "In a checkout each is a session, too: nox -s NAME -- OPTIONS (run is reproduce).",
    "",
)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are told as all others are."""

    def error(self, message: str) -> NoReturn:
        """Raise the error for arguments that are wrong, with the nearest that are right.

        Raises:
            BenchError: always.
        """
        hint = f"{self.prog} --help shows what it takes, and an example"
        if found := _CHOICE.fullmatch(message):
            given = found["given"].strip("'")
            valid = [name.strip(" '") for name in found["valid"].split(",")]
            near = difflib.get_close_matches(given, valid, n=1, cutoff=0.5)
            hint = f"did you mean: {near[0]}" if near else f"valid are: {', '.join(valid)}"
            hint = _study(given) or hint
        raise BenchError(f"{self.prog}: {message}", hint=hint)


class Top(Parser):
    """The parser of all commands, whose help lists them by purpose."""

    def __init__(self, prog: str, description: str | None) -> None:
        super().__init__(prog, description=description, add_help=True)
        self._commands = self.add_subparsers(
            title="commands", required=True, metavar="COMMAND", dest="named", parser_class=Parser
        )

    @property
    def declared(self) -> argparse._SubParsersAction[argparse.ArgumentParser]:
        """Where commands are declared."""
        return self._commands  # type: ignore[return-value]

    @property
    def commands(self) -> Mapping[str, argparse.ArgumentParser]:
        """The parser of each command by its name."""
        return self.declared.choices

    def finish(self) -> None:
        """Put the example of each command below its help; called once all are declared."""
        for action in self.declared._choices_actions:
            command = self.commands[action.dest]
            lines = EXAMPLES.get(action.dest, ())
            told = "\n".join(f"  {line}" for line in lines)
            command.epilog = f"example{'s' * (len(lines) > 1)}:\n{told}" if lines else None
            command.formatter_class = argparse.RawDescriptionHelpFormatter
            command.description = command.description or _sentence(action.help)

    def format_help(self) -> str:
        """The commands by purpose, those that have none behind them."""
        told = {action.dest: action.help or "" for action in self.declared._choices_actions}
        listed = [name for names in PURPOSES.values() for name in names]
        purposes = {**PURPOSES, "More": tuple(name for name in told if name not in listed)}
        width = max(map(len, told), default=0)
        lines = [f"usage: {self.prog} COMMAND …", "", self.description or ""]
        for purpose, names in purposes.items():
            here = [name for name in names if name in told]
            lines += ["", f"{purpose}:"] if here else []
            lines += [f"  {name:<{width}}  {told[name]}" for name in here]
        lines += ["", f"{self.prog} COMMAND --help lists the options of one, with an example."]
        return "\n".join([*lines, *_TOLD])

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The options of a command line.

        Raises:
            BenchError: a command, option or value that does not exist, with the nearest one.
        """
        command = next((word for word in words if not word.startswith("-")), None)
        if command is not None and command not in self.commands:
            raise BenchError(f"{self.prog}: no command {command!r}", hint=self._nearest(command))
        if command is None and (strange := [one for one in words if one not in _options(self)]):
            raise self._unknown(None, strange)
        options, left = self.parse_known_args(words)
        if left:
            raise self._unknown(options.named, left)
        return options

    def _nearest(self, command: str) -> str:
        """The command that was meant, or where all are listed."""
        if command in _SESSIONS:
            return f"it is a session: nox -s {command}"
        if command in _ELSEWHERE:
            return f"did you mean: {self.prog} {_ELSEWHERE[command]}"
        near = difflib.get_close_matches(command, [*self.commands, *_ELSEWHERE], n=1, cutoff=0.5)
        if not near:
            return f"{self.prog} lists its commands"
        return f"did you mean: {self.prog} {_ELSEWHERE.get(near[0], near[0])}"

    def _unknown(self, command: str | None, left: Sequence[str]) -> BenchError:
        """The error for what a command does not take, or without one this parser itself."""
        of = self.prog if command is None else f"{self.prog} {command}"
        parser = self if command is None else self.commands[command]
        given = next((word for word in left if word.startswith("-")), left[0])
        name = given.partition("=")[0]
        if not given.startswith("-"):
            hint = _study(given) or f"{of} --help shows what it takes, and an example"
            return BenchError(f"{of}: takes no word {given!r}", hint=hint)
        near = difflib.get_close_matches(name, _options(parser), n=1, cutoff=0.6)
        having = [other for other, one in self.commands.items() if name in _options(one)]
        hint = f"{of} --help lists its options"
        if near:
            hint = f"did you mean: {near[0]}"
        if having:
            hint = f"it is an option of {', '.join(having)}"
        return BenchError(f"{of}: no option {name}", hint=hint)


def _options(command: argparse.ArgumentParser) -> Iterable[str]:
    return command._option_string_actions


def _study(word: str) -> str | None:
    """What to type for the name of a study that stands alone."""
    return f"did you mean: --study {shlex.quote(word)}" if word in tables.available() else None


def _sentence(text: str | None) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
