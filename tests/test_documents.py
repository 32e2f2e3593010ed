"""README.md and REPRODUCE.md: each command is executed somewhere, each name and link exists.

A command is executed by ``.ci/run``, or by the slow test here, in the checkout and as it
stands. Where that would take too long or needs root, ``INSTEAD`` says what is executed.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from tests.test_noxfile import noxfile

__all__ = ["noxfile"]  # fixture

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "REPRODUCE.md")
NOX = ".nox-env/bin/nox"
#: What a document writes for the folder with the public data.
FOLDER = "DIR"
#: The sessions that hand their options to bench, and the command that gets them.
_SAME = "plan report selfcheck doctor fetch reanalyse claims score generate images verify profile"
COMMANDS = {name: name for name in _SAME.split()} | {
    "compare": "compare",
    "reproduce": "run",
    "cell": "run",
}
#: What is executed in the place of a command: ``None`` for one whose parts are compared.
INSTEAD = {
    # Root, and a network: .ci/run installs the same packages, which a test below compares.
    "sudo apt-get": None,
    # Up to twenty minutes: the plan verifies every file and hashes everything all the same.
    f"{NOX} -s reproduce -- --study mini --mirror DIR": (
        f"{NOX} -s plan -- --study mini --mirror DIR"
    ),
    # tests/test_scoring_execution.py runs the references of every suite, tests/test_run_stages.py
    # scores all of a run again.
    f"{NOX} -s selfcheck -- --mirror DIR": f"{NOX} -s selfcheck -- --suite humaneval --mirror DIR",
    f"{NOX} -s score -- --study smoke": f"{NOX} -s score -- --study smoke --cells mt-qlora-0.5m",
    # tests/test_studies_rehearsal.py runs it whole and looks at what it gives.
    f"{NOX} -s reproduce -- --study rehearsal --mirror DIR": (
        f"{NOX} -s plan -- --study rehearsal --mirror DIR"
    ),
    # Gigabytes from their owners: tests/test_cli_fetchfirst.py fetches from a local server.
    f"{NOX} -s fetch -- --study paper": f"{NOX} -s fetch -- --study paper --list --offline",
    # A GPU for hours or days: the plan, on a GPU that is asked about.
    f"{NOX} -s reproduce -- --study paper --yes": (
        f"{NOX} -s plan -- --study paper --gpu 'NVIDIA H100 80GB HBM3'"
    ),
    f"{NOX} -s reproduce -- --study paper --cells '*-1.5b' --yes": (
        f"{NOX} -s plan -- --study paper --cells '*-1.5b' --gpu 'NVIDIA H100 80GB HBM3'"
    ),
    # A GPU and nine minutes; tests/test_profile_*.py measure tiny shapes.
    f"{NOX} -s gpu": f"{NOX} -s profile -- --list",
    f"{NOX} -s profile": f"{NOX} -s profile -- --list",
    f'{NOX} -s "cell(mt-qlora-1.5b)" -- --yes': (
        f"{NOX} -s plan -- --cells mt-qlora-1.5b --gpu 'NVIDIA H100 80GB HBM3'"
    ),
}


def text(document):
    return (ROOT / document).read_text()


def fenced(document):
    """The commands of a document's sh blocks: continued lines joined, comments left out."""
    for block in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text(document), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield line.split(" #")[0].strip()


def parts(document):
    """The single commands of a document, those joined with && apart."""
    for line in fenced(document):
        yield from (part.strip() for part in line.split("&&"))


def everything():
    return list(dict.fromkeys(itertools.chain.from_iterable(map(parts, DOCUMENTS))))


def ci_lines():
    joined = (ROOT / ".ci" / "run").read_text().replace("\\\n", " ")
    lines = [line.split(" #")[0].strip() for line in joined.splitlines() if line.strip()]
    return [line.removeprefix("cut ") for line in lines]  # without network is harder, not less


def in_ci(command):
    """Whether .ci/run executes a command, perhaps with more options."""
    return any(line == command or line.startswith(f"{command} ") for line in ci_lines())


def instead(command):
    for start, replacement in INSTEAD.items():
        if command.startswith(start):
            return replacement
    return command


def executed_here():
    return [instead(c) for c in everything() if not in_ci(c) and instead(c) is not None]


def sessions_named(document):
    """Every ``nox -s NAME`` of a document, with the options after ``--`` up to the line's end."""
    pattern = r"nox -s (\"[^\"]+\"|[\w()-]+)((?:[ \t]+[^\s`#][^\n`#]*)?)"
    for name, rest in re.findall(pattern, text(document)):
        options = shlex.split(rest)
        yield name.strip('"'), options[1:] if options[:1] == ["--"] else options


@pytest.mark.parametrize("document", DOCUMENTS)
def test_there_are_commands(document):
    assert len(list(fenced(document))) >= 3
    assert any(NOX in command for command in fenced(document))


def test_the_readme_has_two_commands_that_do_everything():
    """One sets up and runs, one tests; CI gives both, and they are the first that README has."""
    first, second, *_ = fenced("README.md")
    assert first == "./reproduce"
    assert second.endswith("nox -s tests")
    assert in_ci(first) and in_ci(second)


def test_ci_installs_the_packages_that_the_documents_name():
    """Those of README beside ``./reproduce``; those that REPRODUCE names are the script's."""
    own = set(re.findall(r"missing\+=\((\S+)\)", (ROOT / ".ci" / "run").read_text()))
    assert packages_told("README.md") == own - {"shellcheck"}
    script = (ROOT / "reproduce").read_text()
    assert all(re.search(rf"\b{one}\b", script) for one in packages_told("REPRODUCE.md"))


def packages_told(document):
    """The Debian packages that a document installs."""
    told = " ".join(c.split("install")[1] for c in parts(document) if "apt-get install" in c)
    return {word for word in told.split() if not word.startswith("-")}


def test_tests_are_never_started_from_here():
    assert not [command for command in executed_here() if "-s tests" in command]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_session_exists(document, noxfile):
    listed = subprocess.run(
        [sys.executable, "-m", "nox", "-l"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    existing = set(re.findall(r"^[*-] (\S+)", listed.stdout, re.M))
    assert {f"cell({id_})" for id_ in noxfile.cells()} <= existing
    named = {name for name, _ in sessions_named(document)}
    assert named
    assert named <= existing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_option_exists(document, request):
    own = {option for option in ("mirror", "slow") if hasattr(request.config.option, option)}
    for name, options in sessions_named(document):
        command = COMMANDS.get(name.split("(")[0])
        if command is not None:
            cli.parser().parse_args([command, *options])
        else:
            assert {one[2:] for one in options if one.startswith("--")} <= own, (name, options)
    for line in re.findall(r"python3? -m bench ([^\n`#]+)", text(document)):
        cli.parser().parse_args(shlex.split(line))
    # And those that are named in passing.
    usage = "".join(helps()) + "".join(f"--{one}" for one in own)
    for code in re.findall(r"`([^`\n]+)`", text(document)):
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]+", code):
            assert option in usage, f"{document}: {option}"


def helps():
    for action in cli.parser()._subparsers._group_actions[0].choices.values():
        yield action.format_help()


def slug(heading):
    """The anchor that a heading gets on the usual hosts."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_somewhere(document):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text(document)) if "://" not in link]
    assert links or document != "README.md"
    for link in links:
        name, _, anchor = link.partition("#")
        target = ROOT / name if name else ROOT / document
        assert target.exists(), f"{document}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            assert anchor in map(slug, headings), f"{document}: {link}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_is_left_of_a_machine_or_a_draft(document):
    machine = r"(?<![\w.:/])/(?:home|root|work|Users|tmp|mnt|srv|opt)/\S*|[A-Z]:\\\S+"
    assert re.findall(machine, text(document)) == []
    assert re.findall(r"@[A-Z_]+@|TODO|FIXME|XXX|lorem ipsum", text(document)) == []


@pytest.mark.slow
def test_every_other_command_runs(request):
    """In the order of the documents, one after the other: they share run folders."""
    mirror = request.config.getoption("--mirror")
    commands = executed_here()
    assert commands
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_", "NOX_"))
    }
    failed, skipped = [], []
    for command in commands:
        runnable = command
        if FOLDER in shlex.split(command):
            if mirror is None:
                skipped.append(command)
                continue
            runnable = runnable.replace(FOLDER, shlex.quote(str(mirror.resolve())))
        if not (ROOT / NOX).exists():
            runnable = runnable.replace(NOX, f"{shlex.quote(sys.executable)} -m nox")
        done = subprocess.run(
            ["bash", "-c", runnable],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            failed.append(f"$ {command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    assert not failed, "\n\n".join(failed)
    if skipped:
        pytest.skip(f"needs the public sources (--mirror DIR): {'; '.join(skipped)}")
