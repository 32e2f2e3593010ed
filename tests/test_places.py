"""The kit's own files are found in a checkout; tests/test_installed.py looks at a wheel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import places
from bench.errors import MachineError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def installed(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "INSTALLED", True)
    monkeypatch.setattr(places, "ROOT", tmp_path / "bench" / "kit")
    monkeypatch.setattr(places, "CODE", tmp_path)
    for name in ("BENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_in_a_checkout_all_is_below_one_folder(monkeypatch):
    monkeypatch.delenv("BENCH_CACHE", raising=False)
    assert places.ROOT == places.CODE == ROOT == places.code_of(ROOT)
    assert places.reports() == ROOT / "reports"
    assert places.cache() == ROOT / ".cache"
    places.require_checkout("images need")
    assert places.commands("nox -s fetch -- images") == "nox -s fetch -- images"


def test_an_installed_kit_writes_where_the_user_is(installed, monkeypatch, tmp_path):
    assert places.code_of(places.ROOT) == tmp_path
    assert places.code_of(ROOT) == ROOT
    assert places.reports() == Path("reports")
    monkeypatch.setenv("HOME", "/somebody")
    assert places.cache() == Path("/somebody/.cache/bench")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cached")
    assert places.cache() == Path("/cached/bench")
    monkeypatch.setenv("BENCH_CACHE", "/named")
    assert places.cache() == Path("/named")


def test_whoever_has_no_home_has_a_cache_all_the_same(installed, monkeypatch):
    def nowhere():
        raise RuntimeError("no home")

    monkeypatch.setattr(places.Path, "home", nowhere)
    assert places.cache().is_absolute()


def test_what_needs_a_checkout_says_so(installed):
    with pytest.raises(MachineError, match="images need a checkout"):
        places.require_checkout("images need")


@pytest.mark.parametrize(
    ("hint", "given"),
    [
        (
            "fetch it: nox -s fetch -- --all --only 'x/*'",
            "fetch it: bench fetch --all --only 'x/*'",
        ),
        ("nox -s reproduce -- --study smoke", "bench run --study smoke"),
        ("run it: nox -s reproduce", "run it: bench run"),
        ("nox -s doctor checks the engine", "bench doctor checks the engine"),
        ("nox -s fetch -- images, once", "bench fetch images, once"),
    ],
)
def test_hints_name_the_commands_that_an_installed_kit_has(installed, hint, given):
    assert places.commands(hint) == given
