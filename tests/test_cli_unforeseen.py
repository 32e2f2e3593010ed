"""No command ends in a traceback: two lines, an exit code, and the traceback in a file."""

from __future__ import annotations

import io
import sys

import pytest

from bench import cli
from bench.cli import study, unforeseen
from bench.run import extras


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("a\nb [red]"), "not foreseen: KeyError: 'a\\nb [red]'"),
        (RecursionError("maximum depth"), "RecursionError: maximum depth"),
        (MemoryError(), "MemoryError"),
        (PermissionError(13, "Permission denied", "x"), "look at that file, folder or disk"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UnicodeDecodeError"),
        (ValueError("many\nlines\nof text"), "ValueError: many lines of text"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
def test_it_is_told_in_two_lines_and_kept(capsys, tmp_path, monkeypatch, error, told):
    monkeypatch.setattr(study, "choose", failing(error))
    code = cli.main(["plan", "--study", "smoke", "--results", str(tmp_path)])
    printed = capsys.readouterr().err
    assert code == unforeseen.EXIT_CODE == 70
    assert told in printed
    assert len(printed.splitlines()) == 2
    (kept,) = tmp_path.iterdir()
    assert str(kept) in printed
    text = kept.read_text()
    assert "Traceback" in text
    assert type(error).__name__ in text


def test_where_the_results_are_not_there_it_is_kept_among_temporary_files(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(unforeseen.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(study, "choose", failing(KeyError("x")))
    assert cli.main(["plan", "--results", str(tmp_path / "absent")]) == 70
    assert not (tmp_path / "absent").exists()
    (kept,) = tmp_path.iterdir()
    assert str(kept) in capsys.readouterr().err


def test_where_nothing_can_be_written_that_is_said(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(unforeseen.tempfile, "gettempdir", lambda: str(tmp_path / "absent"))
    monkeypatch.setattr(study, "choose", failing(KeyError("x")))
    assert cli.main(["plan", "--results", str(tmp_path / "absent")]) == 70
    assert "could not be kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "told", "exit_code"),
    [
        ("torch", "pip install '.[train]'", 4),
        ("rouge_score.rouge_scorer", "pip install '.[score]'", 4),
        ("pynvml", "pip install '.[train]'", 4),
        ("no_such_module", "install no_such_module, or use the kit's environment", 70),
    ],
)
def test_a_library_that_is_not_installed_is_told_by_its_extra(
    capsys, tmp_path, monkeypatch, module, told, exit_code
):
    requires = [
        "numpy>=2.4",
        'torch<2.14,>=2.11; extra == "train"',
        "nvidia-ml-py>=12; extra == 'train'",
        'rouge-score>=0.1.2; extra == "score"',
    ]
    monkeypatch.setattr(extras.importlib.metadata, "requires", lambda _: requires)
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    monkeypatch.setattr(study, "choose", failing(error))
    assert cli.main(["plan", "--results", str(tmp_path)]) == exit_code
    printed = capsys.readouterr().err
    assert told in printed
    assert ("not foreseen" in printed) == bool([*tmp_path.iterdir()]) == (exit_code == 70)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_of_few_characters_shows_the_others_by_their_codes(monkeypatch, encoding):
    shown = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stderr", shown)
    assert cli.main(["plan", "--study", "łódź"]) == 2
    shown.flush()
    assert "\\u0142" in shown.buffer.getvalue().decode(encoding)
