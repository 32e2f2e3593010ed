"""What a user may name on the command line: each mistake in one line, before anything is done."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.cli import amounts, paths
from bench.cli.console import out
from bench.errors import DataError, MachineError


def told(capsys, *arguments):
    """The exit code and the lines of what went wrong, of one command."""
    code = cli.main([*map(str, arguments)])
    return code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an empty path: is a variable not set?"),
        ("  ", "an empty path"),
        ("a\0b", "U+0000"),
        ("a\nb", "U+000A"),
        ("a\x1b[2Jb", "U+001B"),
        ("a\x9bb", "U+009B"),
        ("n" * 300, "File name too long"),
        ("/".join(["x" * 200] * 25), "File name too long"),
    ],
)
def test_a_path_that_names_nothing_is_refused(text, why):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        paths.path(text)
    assert why in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_a_loop_of_links_names_nothing(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(argparse.ArgumentTypeError, match="Too many levels"):
        paths.path(str(tmp_path / "loop"))


@pytest.mark.parametrize("name", ["für", "a b", "[/red]", "a\udc80b", "👨\u200d💻", "~x"])
def test_a_name_that_a_file_may_have_is_taken(tmp_path, name):
    assert paths.path(str(tmp_path / name)) == tmp_path / name
    assert paths.folder(str(tmp_path / name / "more")) == tmp_path / name / "more"


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    for text in ("file", "file/below", "pipe"):
        with pytest.raises(MachineError, match="is not a folder"):
            paths.folder(str(tmp_path / text))
    with pytest.raises(DataError, match="no such folder — check --mirror"):
        paths.require_mirror(tmp_path / "file")
    paths.require_mirror(tmp_path)
    paths.require_mirror(None)


@pytest.mark.parametrize("name", ["-", "/dev/full", "/dev/stdout", "/proc/x/y", ".", "file/x"])
def test_what_cannot_be_written_is_told_first(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    if name.startswith("/proc"):
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere else
    with pytest.raises(MachineError):
        paths.output(name)


def test_a_link_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "link").symlink_to("kept")
    with pytest.raises(MachineError, match="link: a link"):
        paths.output(str(tmp_path / "link"))


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.5", "٤", "²", "1_000", " 4", "4GB", "9" * 30, "9" * 5000, "\udc80"]
)
def test_a_count_is_a_plain_number(text):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        amounts.positive(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["1e308", "٤", "1e7", "nan", "-0"])
def test_an_amount_is_one_that_somebody_waits_for(text):
    with pytest.raises(argparse.ArgumentTypeError):
        amounts.hours(text)


def test_a_mistake_in_an_argument_is_told_like_any_other(capsys):
    code, lines = told(capsys, "plan", "--nope=\x1b[2J\nx")
    assert code == 2
    assert len(lines) == 2
    assert lines[0] == "error: bench plan: no option --nope"
    code, lines = told(capsys, "plan", "\x1b[2J\nx")
    assert (code, len(lines)) == (2, 2)
    assert "\x1b" not in "".join(lines)
    assert told(capsys, "")[0] == 2


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J", "[/red]", "\udc80"])
def test_a_suite_of_any_name_is_unknown(capsys, name):
    code, lines = told(capsys, "selfcheck", f"--suite={name}")
    assert code == 2
    assert lines[0].startswith("error: unknown suite")


def test_a_table_is_not_written_over_by_the_answers(capsys, tmp_path):
    (tmp_path / "g.jsonl").write_text('{"id": "a", "code": "x = 1"}\n')
    options = ["--task", "generation", "--language", "python", "--metric", "lizard"]
    both = ["--csv", tmp_path / "out", "--answers", tmp_path / "out"]
    code, lines = told(capsys, "score", "--generations", tmp_path / "g.jsonl", *options, *both)
    assert code == 2
    assert "named as --csv and as --answers" in lines[0]
    assert not (tmp_path / "out").exists()


def test_nothing_that_is_shown_acts_on_the_terminal(capsys):
    out.print("a\x1b[2Jb\x9bc\u202ed\x07 0\u202f1\n\tx", markup=False)
    printed = capsys.readouterr().out
    assert printed.startswith("a\\x1b[2Jb\\x9bc\\u202ed")
    assert "0\u202f1\n" in printed


class _Full:
    """A stream of a disk without room."""

    encoding = "utf-8"

    def write(self, text):
        raise OSError(28, "No space left on device")

    def flush(self):
        return None

    def isatty(self):
        return False

    def fileno(self):
        raise OSError(9, "none")


def test_output_that_cannot_be_written_is_no_success(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", _Full())
    code, lines = told(capsys, "fetch", "--list", "--study", "smoke")
    assert code == 4
    assert "No space left on device" in lines[0]
    assert "not foreseen" not in lines[0]
    monkeypatch.undo()
    with out.capture():
        pass  # rich keeps what it could not show for the next print


def test_a_closed_output_is_told(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    code = cli.main(["fetch", "--list", "--study", "smoke"])
    monkeypatch.undo()
    assert code == 4
    assert "standard output is closed" in capsys.readouterr().err
