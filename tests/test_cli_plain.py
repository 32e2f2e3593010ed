"""Terminals of few characters: no traceback, no codes for a dash, names exact."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import plain

ROOT = Path(__file__).parents[1]


def shown(text, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    plain.adapt(stream)
    stream.write(text)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("text", "ascii_", "latin1"),
    [
        ("0.5 – 1 × 3 → 2 …", "0.5 - 1 x 3 -> 2 ...", "0.5 - 1 × 3 -> 2 ..."),
        ("–¹ ≥ ±2 µs", "-[1] >= +-2 us", "-¹ >= ±2 µs"),
        ("┌─┐│█", "+-+|#", "+-+|#"),
        ("für łódź", "f\\xfcr \\u0142\\xf3d\\u017a", "für \\u0142ód\\u017a"),
        ("file \udcff", "file \\xff", "file \\xff"),
    ],
)
def test_typography_has_its_nearest_and_names_their_codes(text, ascii_, latin1):
    assert shown(text, "ascii") == ascii_
    assert shown(text, "latin-1") == latin1
    if "\udcff" not in text:
        assert shown(text, "utf-8") == text


@given(st.text(), st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8"]))
def test_any_text_is_shown(text, encoding):
    assert shown(text, encoding).isascii() or encoding != "ascii"


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "columns"), [("ascii", 60), ("latin-1", 200)])
def test_a_plan_is_legible(tmp_path, encoding, columns):
    done = subprocess.run(
        [sys.executable, "-m", "bench", "plan", "--study", "smoke", "--results", tmp_path],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONIOENCODING": encoding,
            "LC_ALL": "C",
            "COLUMNS": str(columns),
            "BENCH_EXECUTOR": "venv",
            "TZ": "Asia/Kathmandu",
        },
        capture_output=True,
        check=False,
    )
    told = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert not re.search(r"\\(x|u)[0-9a-f]{2}", told), told
    lines = told.splitlines()
    tables = lines[3:]  # the first three are one sentence each, never broken
    assert max(map(len, tables)) <= columns + 2  # a sign of two letters for one
