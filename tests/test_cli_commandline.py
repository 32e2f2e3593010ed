"""The command line as people type it: what there is, how it is used, and what was meant."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cli
from bench.cli import commandline
from bench.errors import BenchError
from tests.test_cli import run

TOP = cli.parser()
COMMANDS = sorted(TOP.commands)


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_bare_bench_lists_every_command_once_by_its_purpose(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    for command in COMMANDS:
        assert sum(line.startswith(f"  {command} ") for line in out.splitlines()) == 1
    for purpose in commandline.PURPOSES:
        assert f"\n{purpose}:\n" in out
    assert "\nMore:" not in out, "say in PURPOSES what the new command is for"
    assert max(map(len, out.splitlines())) <= 80


def test_every_command_has_a_purpose_and_an_example():
    listed = [name for names in commandline.PURPOSES.values() for name in names]
    assert sorted(listed) == COMMANDS == sorted(commandline.EXAMPLES)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_an_example_that_holds(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    for line in commandline.EXAMPLES[command]:
        assert f"\n  {line}\n" in out
        program, *words = shlex.split(line)
        options = TOP.read(words)
        assert (program, options.named) == ("bench", command)
        assert callable(options.command)


@pytest.mark.parametrize(
    ("words", "problem", "hint"),
    [
        ("rum", "no command 'rum'", "did you mean: bench run"),
        ("reproduce --study smoke", "no command 'reproduce'", "did you mean: bench run"),
        ("verfy reports/smoke", "no command 'verfy'", "did you mean: bench verify"),
        ("help", "no command 'help'", "did you mean: bench --help"),
        ("lint", "no command 'lint'", "it is a session: nox -s lint"),
        ("xyzzy", "no command 'xyzzy'", "bench lists its commands"),
        ("--versoin", "no option --versoin", "did you mean: --version"),
        ("report --fulll", "bench report: no option --fulll", "did you mean: --full"),
        ("run --studdy=smoke", "bench run: no option --studdy", "did you mean: --study"),
        ("plan --jobs 3", "no option --jobs", "an option of run, generate, score"),
        ("run --colour", "no option --colour", "bench run --help lists its options"),
        ("report smoke", "takes no word 'smoke'", "did you mean: --study smoke"),
        ("fetch paper", "'paper'", "did you mean: --study paper"),
        ("run --executor vnev", "'vnev'", "did you mean: venv"),
        ("plan --start zzz", "'zzz'", "valid are: base, generate, score"),
        ("verify", "RUN", "bench verify --help"),
    ],
)
def test_a_mistyped_word_is_told_in_two_lines_with_the_right_one(capsys, words, problem, hint):
    code, out, err = run(capsys, *shlex.split(words))
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert problem in first
    assert hint in second


@given(st.lists(st.sampled_from(["run", "plan", "--", "-x", "--study", "[b]", ""]) | st.text()))
def test_whatever_is_typed_is_options_or_one_line(words):
    try:
        assert TOP.read(words).named in COMMANDS
    except BenchError as error:
        assert "\n" not in error.problem + error.hint
    except SystemExit as exit_:  # it asked for help or the version
        assert exit_.code == 0
