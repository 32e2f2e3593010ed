"""What is made once is found again; inside an image nothing is made at all."""

from __future__ import annotations

import pytest

from bench.errors import MachineError
from bench.scoring.sandbox import kept


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(kept.IMAGE_VARIABLE, raising=False)
    return tmp_path


def write(target):
    (target / "program").write_text("compiled")


def test_another_source_or_key_is_made_anew(cache):
    source = cache / "Run.java"
    source.write_text("one")
    first = kept.place("java", [source], "17")
    assert kept.place("java", [source], "21") != first
    source.write_text("two")
    assert kept.place("java", [source], "17") != first


def test_an_image_has_its_tools(cache, monkeypatch):
    """They are found by what they are made of, wherever they were made."""
    made = kept.made("java", [], "17", write)
    monkeypatch.setenv("BENCH_CACHE", str(cache / "another"))
    monkeypatch.setenv(kept.IMAGE_VARIABLE, str(made.parent))
    assert kept.made("java", [], "17", pytest.fail) == made


def test_inside_an_image_nothing_is_compiled(cache, monkeypatch):
    tools = cache / "tools"
    tools.mkdir()
    monkeypatch.setenv(kept.IMAGE_VARIABLE, str(tools))
    with pytest.raises(MachineError, match="not among this image's tools") as caught:
        kept.made("java", [], "17", pytest.fail)
    assert "images" in caught.value.hint
    assert list(tools.iterdir()) == []
