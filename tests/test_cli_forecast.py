"""A plan tells what it costs; a run that cannot fit is refused before anything starts."""

from __future__ import annotations

import json

import pytest

from bench import cli
from bench.cli import console, executors, forecast
from bench.containers.engine import Engine
from bench.grid import keys
from bench.run import lacks, provenance, runner

H100 = {"name": "NVIDIA H100 80GB HBM3", "memory_bytes": 85 * 10**9, "driver": "1"}
LONG_NAME = "Example(R) Processor with a Name That Alone Is Longer than Some Terminals @ 2.00GHz"
L4 = {"name": "NVIDIA L4", "memory_bytes": 24 * 10**9, "driver": "1"}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A machine without data and without a GPU, and with disk enough for everything."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(console.out, "_width", 100)  # COLUMNS is read once, at its start
    monkeypatch.setattr(provenance, "gpus", list)
    monkeypatch.setattr(forecast.devices, "disk", of_size(forecast.devices.disk, 10**12))
    monkeypatch.setattr(keys, "sources", lambda *_: {name: {} for name in keys.ENTRIES})


def called(monkeypatch, cpu):
    """This machine, with a processor of that name."""
    here = provenance.machine()
    monkeypatch.setattr(
        provenance, "machine", lambda: {**here, "cpu": cpu, "gpus": provenance.gpus()}
    )


def of_size(real, free):
    def disk(folder):
        found = real(folder)
        return type(found)(found.folder, free, found.device)

    return disk


class BegunError(BaseException):
    """The run has begun, and got as far as it should here."""


def begun(*_, **__):
    raise BegunError


def run(capsys, *arguments):
    try:
        code = cli.main([*map(str, arguments), "--executor", "venv"])
    except SystemExit as exit_:
        code = exit_.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def estimates(capsys, *arguments):
    code, out, _ = run(capsys, "plan", "--json", *arguments)
    assert code == 0
    return json.loads(out)["estimates"]


def test_smoke_is_told_from_the_figures_that_ship(capsys, tmp_path):
    told = estimates(capsys, "--study", "smoke", "--results", tmp_path)
    assert len(told["stages"]) == 54
    assert len(told["cells"]) == 12
    assert all(one["hours"]["value"] > 0 and not one["gpu"] for one in told["stages"])
    bases = {one["hours"]["basis"] for one in told["stages"]}
    assert all(one.startswith(("recorded", "scaled from smoke")) for one in bases)
    assert told["machine"]["gpu"] is None
    assert 0.05 < sum(cell["cpu_hours"] for cell in told["cells"]) < 1
    assert told["problems"] == []


def test_on_a_gpu_the_paper_has_hours_memory_disk_and_download(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "gpus", lambda: [H100])
    told = estimates(capsys, "--study", "paper", "--with", "rq3", "--results", tmp_path)
    cells = {cell["id"]: cell for cell in told["cells"]}
    assert told["machine"]["gpu_memory_bytes"] == 85 * 10**9
    assert len(cells) == 3 + 12
    trained = [cell for name, cell in cells.items() if not name.startswith("base")]
    assert all(cell["gpu_hours"] > 1 and cell["bases"] for cell in trained)
    assert all("of peak" in basis for cell in trained for basis in cell["bases"])
    assert cells["mt-fft-7b"]["device_bytes"] > 70e9
    assert cells["mt-fft-7b"]["scratch_bytes"] > 100e9
    assert cells["base 7b"]["download_bytes"] == 15_250_000_000
    assert told["downloads"]["7b"] == 15_250_000_000
    assert told["downloads"]["data"] > 1_000_000_000  # CodeXGLUE's code-to-text, BERT, the rest
    # What is not known is null with a reason, and told as not whole.
    assert cells["mt-fft-7b"]["cpu_hours"] is None
    assert cells["mt-fft-7b"]["cpu_whole"] is False
    assert any("score" in reason for reason in cells["mt-fft-7b"]["reasons"])


@pytest.mark.parametrize(
    ("study", "gpu", "rows"),
    [
        (["smoke"], None, 12),
        (["mini"], None, 12),
        (["paper"], {**H100, "name": "NVIDIA GeForce GTX 970"}, 12),
        (["paper", "--with", "rq3"], H100, 15),
    ],
)
@pytest.mark.parametrize("cpu", [None, "CPU", "Intel(R) Xeon(R) Processor", LONG_NAME])
def test_the_table_keeps_to_100_columns(capsys, tmp_path, monkeypatch, study, gpu, rows, cpu):
    """Whatever this machine's processor is called, and the one that figures were recorded on."""
    called(monkeypatch, cpu)
    monkeypatch.setattr(provenance, "gpus", lambda: [gpu] if gpu else [])
    code, out, _ = run(capsys, "plan", "--study", *study, "--results", tmp_path)
    assert code == 0
    table = out[out.index("\ncosts") :].partition("Memory:")[0].strip().splitlines()
    assert max(map(len, table)) <= 100
    assert len(table) == rows + 2  # a header, the total, and no row in two lines
    assert table[-1].startswith("all ")


def test_figures_of_another_processor_name_it_below_the_table(capsys, tmp_path, monkeypatch):
    recorded_on = json.loads((forecast.REFERENCE / "smoke.costs.json").read_text())
    name = recorded_on["origin"]["machine"]["cpu"]
    arguments = ("plan", "--study", "smoke", "--results", tmp_path)
    called(monkeypatch, name)
    _, out, _ = run(capsys, *arguments)
    assert "recorded on" not in out
    called(monkeypatch, LONG_NAME)
    _, out, _ = run(capsys, *arguments)
    assert out.count("scaled from smoke [1]") == 12
    assert f"[1] recorded on {name}." in out


def test_another_gpu_can_be_asked_about(capsys, tmp_path):
    arguments = ("plan", "--study", "paper", "--results", tmp_path, "--gpu")
    code, out, _ = run(capsys, *arguments, "NVIDIA H200")
    assert code == 0
    assert "NVIDIA H200 with 150 GB (as asked, not here)" in " ".join(out.split())
    assert "analytic, 21 %" in out
    code, _, err = run(capsys, *arguments, "H200")
    assert code == 2
    assert "did you mean: NVIDIA H200" in err


def test_without_a_gpu_the_paper_is_refused_before_its_data_is_asked_for(capsys, tmp_path):
    code, _, err = run(capsys, "run", "--study", "paper", "--results", tmp_path / "r")
    assert code == 4
    assert "base 1.5b: generate needs a CUDA GPU" in err
    assert "--study smoke" in err
    assert not (tmp_path / "r").exists()
    code, _, err = run(capsys, "run", "--study", "paper", "--results", tmp_path / "r", "--anyway")
    assert code == 3  # the next thing that it lacks: data
    assert "not fetched" in err


def test_a_run_is_refused_by_its_cell_and_tried_anyway(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast.devices, "disk", of_size(forecast.devices.disk, 10_000_000))
    monkeypatch.setattr(executors, "started", begun)
    arguments = ("run", "--study", "smoke", "--results", tmp_path / "r")
    code, _, err = run(capsys, *arguments)
    assert code == 4
    assert "6m" in err
    assert "--results DIR" in err
    assert "--anyway" in err
    with pytest.raises(BegunError):
        run(capsys, *arguments, "--anyway")


def test_a_limit_in_hours_reaches_every_stage(capsys, tmp_path, monkeypatch):
    """What it does to a stage is tested with the runner."""
    seen = {}

    def record(*_, limits_s, **__):
        seen.update(limits_s)
        raise BegunError

    monkeypatch.setattr(runner, "run", record)
    monkeypatch.setattr(lacks, "of_scoring", lambda *_, **__: [])  # it would get tools first
    arguments = ("run", "--study", "smoke", "--results", tmp_path / "r", "--stage-hours", "0.5")
    with pytest.raises(BegunError):
        run(capsys, *arguments)
    assert seen == dict.fromkeys(keys.ENTRIES, 1800.0)


def test_what_does_not_fit_is_refused_before_images_are_built(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast.devices, "disk", of_size(forecast.devices.disk, 10_000_000))
    engine = Engine("podman", "podman", "4.3.1", False, 1)
    monkeypatch.setattr(executors, "choose", lambda _: executors.Choice("container", "", engine))
    monkeypatch.setattr(executors, "built", begun)
    arguments = ("run", "--study", "smoke", "--results", tmp_path / "r")
    code, _, err = run(capsys, *arguments)
    assert code == 4
    assert "--results DIR" in err
    with pytest.raises(BegunError):
        run(capsys, *arguments, "--anyway")


def test_a_warning_is_told_and_lets_the_run_go_on(capsys, tmp_path, monkeypatch):
    needed = 205_000_000  # 47 MB stay, checkpoints of the two largest take 158
    monkeypatch.setattr(forecast.devices, "disk", of_size(forecast.devices.disk, needed))
    monkeypatch.setattr(executors, "started", begun)
    with pytest.raises(BegunError):
        run(capsys, "run", "--study", "smoke", "--results", tmp_path / "r", "--jobs", "2")
    assert "warning:" in capsys.readouterr().err


def test_a_run_of_one_machine_becomes_a_figure_of_the_kit(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "REFERENCE", tmp_path / "kit")
    code, _, err = run(
        capsys, "plan", "--study", "smoke", "--results", tmp_path, "--write-reference"
    )
    assert code == 3
    assert "no measured stages" in err
