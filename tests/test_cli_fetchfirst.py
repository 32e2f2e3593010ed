"""On a GPU machine the first command tells what it takes, asks, fetches and goes on."""

from __future__ import annotations

import io
import json
import sys

import pytest

from bench import cli
from bench.cli import choice, console, executors, forecast
from bench.data import sources
from bench.data.hub import lock as hublock
from bench.grid import keys
from bench.run import provenance
from tests.stand_in import Behaviour, StandIn, serving

H100 = {"name": "NVIDIA H100 80GB HBM3", "memory_bytes": 85 * 10**9, "driver": "1"}
REVISION = "a" * 40
CONFIG = {
    "model_type": "qwen2",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 1000,
    "tie_word_embeddings": True,
}
FILES = {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": b"w" * 3000}


class BegunError(BaseException):
    """The run has begun, and got as far as it should here."""


class Terminal(io.StringIO):
    """Standard input of somebody who sits there."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with a GPU, disk enough, nothing fetched, and nobody at its terminal."""

    def disk(folder, real=forecast.devices.disk):
        return type(found := real(folder))(found.folder, 10**12, found.device)

    def begun(*_, **__):
        raise BegunError

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(hublock, "PATH", tmp_path / "project" / "hub.lock.json")
    monkeypatch.setattr(provenance, "gpus", lambda: [H100])
    monkeypatch.setattr(choice, "gpu_visible", lambda: True)
    monkeypatch.setattr(forecast.devices, "disk", disk)
    monkeypatch.setattr(executors, "started", begun)
    monkeypatch.setattr(forecast, "REFERENCE", tmp_path / "kit")  # counts no other study's data
    monkeypatch.setattr(keys, "sources", lambda *_: {name: {} for name in keys.ENTRIES})
    monkeypatch.setattr(console.out, "_width", 100)
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.fixture
def hub(monkeypatch):
    with serving(StandIn()) as server:
        monkeypatch.setenv("BENCH_GIT_URL", server.url)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        for name in ("o/small", "o/large"):
            server.add_hub(name, FILES, REVISION)
        yield server


@pytest.fixture
def small(tmp_path):
    """A study of two hub models on the embedded corpus."""
    path = tmp_path / "small.toml"
    base = 'kind = "hub"\nname = "{0}"\nrepository = "o/{0}"\nrevision = "{1}"\n'
    sizes = (f"[[sizes]]\n{base.format(name, REVISION)}" for name in ("small", "large"))
    path.write_text('extends = "smoke"\nname = "hubbed"\n' + "".join(sizes))
    return path


def answering(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", Terminal(text))
    monkeypatch.setattr(console.out, "_force_terminal", True)


def run(capsys, tmp_path, *arguments):
    common = ("--results", tmp_path / "r", "--executor", "venv")
    try:
        code = cli.main([*map(str, ("run", *common, *arguments))])
    except BegunError:
        code = "begun"
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def fetched(name):
    return (sources.data_folder() / "hub" / "o" / name / REVISION / "model.safetensors").is_file()


def test_the_first_command_tells_what_the_paper_takes_and_how_to_go_on(capsys, tmp_path):
    code, out, err = run(capsys, tmp_path)
    assert code == 3
    assert out.startswith("paper (the default where a CUDA GPU is visible; the quick look: ")
    table = out[out.index("takes ") :]
    for row, told in {
        "download": "25.6 GB",
        "disk": "are free",
        "GPU memory": ", train, of 85.0 GB (analytic)",
        "GPU hours": "of training (analytic",
        "wall hours": "on one GPU",
    }.items():
        assert told in next(line for line in table.splitlines() if line.startswith(row))
    problem, hint = err.strip().splitlines()
    assert "paper reads public files and models that are not fetched (25.6 GB)" in problem
    for way in ("--yes", "nox -s fetch -- --study paper", "--mirror DIR", "--study smoke"):
        assert way in hint
    assert not (tmp_path / "r").exists()


def test_a_table_of_what_it_takes_keeps_to_100_columns(capsys, tmp_path):
    _, out, _ = run(capsys, tmp_path)
    table = out[out.index("takes ") : out.index("no fetch brings")].rstrip().splitlines()
    assert max(map(len, table)) <= 100
    assert len(table) == 6  # no row in two lines


def test_what_no_fetch_brings_is_named(capsys, tmp_path, monkeypatch):
    for name in ("BENCH_SIDE", "BENCH_JUDGE_URL"):
        monkeypatch.delenv(name, raising=False)
    _, out, _ = run(capsys, tmp_path)
    assert "no fetch brings what it lacks: side: " in out
    assert "no fetch brings what it lacks: judge: " in out


def test_yes_fetches_and_goes_on(capsys, tmp_path, hub, small):
    code, out, _ = run(capsys, tmp_path, "--study", small, "--yes")
    assert code == "begun"
    assert fetched("small")
    assert fetched("large")
    assert "everything is in" in out
    again, out, _ = run(capsys, tmp_path, "--study", small)  # with nothing left to ask about
    assert again == "begun"
    assert "everything is here" in out


def test_only_the_bases_of_the_cells_are_fetched(capsys, tmp_path, hub, small):
    arguments = ("--study", small, "--yes", "--cells", "mt-*-small")
    assert run(capsys, tmp_path, *arguments)[0] == "begun"
    assert fetched("small")
    assert not fetched("large")


def test_a_terminal_is_asked(capsys, tmp_path, monkeypatch, hub, small):
    answering(monkeypatch, "Yes\n")
    code, out, _ = run(capsys, tmp_path, "--study", small)
    assert code == "begun"
    assert "Fetch unknown size and go on? [y/N]" in out  # no lock and no manifest tells it
    assert "licences: see its page" in out
    assert fetched("small")


@pytest.mark.parametrize("answer", ["\n", "", "perhaps\n"])
def test_whatever_is_no_yes_fetches_nothing(capsys, tmp_path, monkeypatch, hub, small, answer):
    answering(monkeypatch, answer)
    code, _, err = run(capsys, tmp_path, "--study", small)
    assert code == 2
    assert "not fetched, as answered" in err
    assert "--study smoke" in err
    assert hub.requests == []
    assert not (tmp_path / "r").exists()


def test_offline_never_asks(capsys, tmp_path, monkeypatch, hub, small):
    answering(monkeypatch, "y\n")
    code, out, err = run(capsys, tmp_path, "--study", small, "--offline", "--yes")
    for library in ("BENCH", "HF_HUB", "HF_DATASETS", "HF_EVALUATE"):
        monkeypatch.delenv(f"{library}_OFFLINE")
    assert code == 4
    assert "[y/N]" not in out
    assert "not on this machine: o/small" in err
    assert hub.requests == []


def test_a_broken_download_goes_on_where_it_stopped(capsys, tmp_path, hub, small, monkeypatch):
    monkeypatch.setattr("bench.data.fetching.download.ATTEMPTS", 1)
    weights = f"/o/large/resolve/{REVISION}/model.safetensors"
    hub.behaviour[weights] = Behaviour(status=403)
    code, _, err = run(capsys, tmp_path, "--study", small, "--yes")
    assert code == 3
    problem, hint = err.strip().splitlines()
    assert "not fetched: " in problem
    assert "o/large" in problem
    assert "nothing has begun" in problem
    assert "the same command goes on from what has arrived" in hint
    assert not (tmp_path / "r").exists()
    hub.behaviour.clear()
    hub.requests.clear()
    assert run(capsys, tmp_path, "--study", small, "--yes")[0] == "begun"
    assert hub.asked("small") == []


def test_a_model_that_only_a_metric_reads_may_stay_away(capsys, tmp_path, hub, small):
    small.write_text(small.read_text() + '[scoring]\nmetrics = ["bertscore"]\n')
    assert run(capsys, tmp_path, "--study", small, "--yes")[0] == "begun"
    # And it is no reason to refuse a run that nobody can be asked about.
    assert run(capsys, tmp_path, "--study", small)[0] == "begun"


def test_a_disk_without_room_is_told_before_anything_is_asked(
    capsys, tmp_path, monkeypatch, hub, small
):
    answering(monkeypatch, "y\n")
    real = forecast.devices.disk
    monkeypatch.setattr(
        forecast.devices, "disk", lambda one: type(f := real(one))(f.folder, 10_000, f.device)
    )
    code, out, err = run(capsys, tmp_path, "--study", small)
    assert code == 4
    assert "lacks the room" in err
    assert "[y/N]" not in out
    assert hub.requests == []


def test_fetch_takes_cells(capsys, hub, small):
    assert cli.main(["fetch", "--study", str(small), "--cells", "*-large"]) == 0
    assert fetched("large")
    assert not fetched("small")
    assert "1 of" not in capsys.readouterr().out
