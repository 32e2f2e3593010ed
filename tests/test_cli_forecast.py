"""A plan tells what it costs; a run that cannot fit is refused before anything starts."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from bench import cli
from bench.cli import console, executors, forecast, study
from bench.containers import engine as engines
from bench.containers.engine import Engine
from bench.errors import MachineError
from bench.grid import keys
from bench.grid import study as grid_study
from bench.run import gpuprobe, lacks, provenance, runner
from bench.run.gpuprobe import Found, OtherProcess
from tests import gpu_profiles
from tests.fake_gpus import GB, NAME, device, found
from tests.planned import machine

REAL_GPUS = provenance.gpus

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
    scaled = "profiled on NVIDIA H200, scaled to NVIDIA H100 80GB HBM3"  # the kit's own figures
    assert all(basis.startswith(scaled) for cell in trained for basis in cell["bases"])
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
    alone = run(capsys, *arguments[:-1])[1]  # without a GPU nobody knows hours: no zero is told
    assert "hours depend on the GPU" in " ".join(alone.split())
    assert "Wall:" not in alone
    code, out, _ = run(capsys, *arguments, "NVIDIA H200")
    assert code == 0
    assert "NVIDIA H200 with 150 GB (as asked, not here)" in " ".join(out.split())
    assert "profiled on NVIDIA H200" in " ".join(out.split())  # the kit's own figures
    two = tmp_path / "two.toml"
    tables = 'training.kernels = ["compile"]\ntraining.qlora.rows_per_micro_batch = 2\n'
    two.write_text(f'extends = "paper"\nname = "two"\n{tables}')
    _, out, _ = run(capsys, "plan", "--study", two, *arguments[3:], "NVIDIA H200")
    assert "analytic, 7 %" in out  # nobody measured these kernels
    code, _, err = run(capsys, *arguments, "H200")
    assert code == 2
    assert "did you mean: NVIDIA H200" in err


def test_a_profile_of_the_card_tells_hours_memory_and_the_wall(capsys, tmp_path):
    """Rates that a card may reach; eight of them take an eighth, as far as chains let them."""
    rates = {"1.5b": (60_000, 42_000), "3b": (32_000, 22_000), "7b": (14_500, 9_500)}
    loaded, card = grid_study.load("paper"), machine(H100["name"]).gpu
    items = [
        gpu_profiles.chosen(loaded, "mt-qlora", size, card, qlora, peak_reserved_bytes=60 * GB)
        for size, (qlora, _) in rates.items()
    ]
    items += [
        gpu_profiles.chosen(loaded, "mt-fft", size, card, full) for size, (_, full) in rates.items()
    ]
    content = gpu_profiles.profile(*items, gpu=H100["name"])
    gpu_profiles.write(tmp_path / "profiles", content)
    about = ("--study", "paper", "--results", tmp_path, "--gpu", H100["name"], "--gpus", "8")
    told = estimates(capsys, *about)
    trained = [one for one in told["stages"] if one["stage"] == "train"]
    assert {one["hours"]["basis"] for one in trained} == {f"profiled on {H100['name']}"}
    assert {one["memory"]["basis"] for one in trained} == {"profiled"}
    hours = [one["hours"]["value"] for one in trained]
    assert told["gpu_hours"]["train"] == pytest.approx(sum(hours))
    one, eight = told["wall"]
    assert (one["gpus"], eight["gpus"]) == (1, 8)
    assert one["hours"] == pytest.approx(sum(hours))
    assert max(*hours, one["hours"] / 8) <= eight["hours"] < one["hours"] / 3
    assert (eight["chain"], eight["chain_hours"]) == ("mt-fft-7b", max(hours))
    code, out, _ = run(capsys, "plan", *about)
    assert code == 0
    text = " ".join(out.split())
    assert f"without loading, evaluation and saving: profiled on {H100['name']}." in text
    assert (
        f"≥ {eight['hours']:.1f} h on 8 GPUs, one model each (as long as mt-fft-7b alone)" in text
    )


def test_a_broken_profile_is_one_line(capsys, tmp_path):
    gpu_profiles.write(tmp_path / "profiles", {"schema": 1})
    code, _, err = run(capsys, "plan", "--study", "paper", "--results", tmp_path)
    assert code == 3
    assert "profiles/nvidia-h200.json: not a profile of a GPU: device: Field required" in err
    assert "nox -s profile" in err


def test_a_number_of_gpus_is_a_number(capsys):
    code, _, err = run(capsys, "plan", "--gpus", "0")
    assert code == 2
    assert "'0' is not a positive number" in err


def test_without_a_gpu_the_paper_is_refused_before_its_data_is_asked_for(capsys, tmp_path):
    code, _, err = run(capsys, "run", "--study", "paper", "--results", tmp_path / "r")
    assert code == 4
    assert "base 1.5b: generate needs a CUDA GPU" in err
    assert "--study smoke" in err
    assert not (tmp_path / "r").exists()
    code, _, err = run(capsys, "run", "--study", "paper", "--results", tmp_path / "r", "--anyway")
    assert code == 3  # the next thing that it lacks: data
    assert "not fetched" in err


def test_generating_anew_without_a_gpu_is_refused_as_early(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "_check_stored", lambda request: None)
    code, _, err = run(capsys, "generate", "--study", "paper", "--results", tmp_path / "r")
    assert code == 4
    assert "base 1.5b: generate needs a CUDA GPU" in err


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


# on GPUs


@pytest.fixture
def gpus(monkeypatch):
    """Have the probe find some GPUs; without a driver's program, which nothing else asks."""

    def have(seen):
        monkeypatch.setattr(gpuprobe, "signs", lambda: True)
        monkeypatch.setattr(gpuprobe, "here", lambda: seen)
        monkeypatch.setattr(provenance, "gpus", REAL_GPUS)

    return have


REFUSED = [
    (Found("2.13.0+cpu"), (), "torch 2.13.0+cpu is the CPU build", "remove .venv"),
    (
        Found("2.13.0+cu128", "12.8", "470.1", said="too old"),
        (),
        "can use none with the driver 470.1: too old",
        "update the NVIDIA driver",
    ),
    (found(device(problem="no kernel image")), (), "no kernel image", "nvidia-smi -q"),
    (found(device()), ("--gpus", "none"), "--gpus none forbids it", "leave --gpus out"),
]


@pytest.mark.parametrize(("seen", "arguments", "words", "remedy"), REFUSED)
def test_a_hub_study_without_a_usable_gpu_is_one_line(
    capsys, tmp_path, gpus, seen, arguments, words, remedy
):
    gpus(seen)
    command = ("run", "--study", "paper", "--results", tmp_path / "r", *arguments)
    code, _, err = run(capsys, *command)
    assert code == 4
    told = " ".join(err.split())
    assert "base 1.5b: generate needs a CUDA GPU, and" in told
    assert words in told
    assert remedy in told
    assert "--anyway" in told
    assert not (tmp_path / "r").exists()
    code, _, err = run(capsys, *command, "--anyway")
    assert code == 3  # the next thing that it lacks: data
    assert "not fetched" in err


def chosen(study, seen, *arguments, engine=None):
    """The GPUs that a run would use, and what it says of them."""
    options = cli.parser().parse_args(["run", "--study", study, *arguments])
    loaded = grid_study.load(study)
    cells = grid_study.expand(loaded)
    request = SimpleNamespace(study=loaded, cells=cells)
    stage = SimpleNamespace(
        stage="train", gpu=True, place="mt-qlora", memory=SimpleNamespace(value=60 * GB)
    )
    said = []
    foreseen = SimpleNamespace(stages=[stage])
    return forecast.gpus(request, engine, foreseen, options, said.append), said


def test_every_usable_gpu_is_taken_and_said(gpus):
    gpus(seen := found(device(0), device(1), device(2, problem="broken")))
    taken, said = chosen("smoke", seen)
    assert taken == (0, 1)
    assert said == [f"computes on GPU 0 ({NAME}), GPU 1 ({NAME})"]
    assert chosen("smoke", seen, "--gpus", "1") == ((1,), [f"computes on GPU 1 ({NAME})"])
    assert chosen("smoke", seen, "--gpus", "none") == ((), ["computes on the CPU: --gpus none"])


def test_a_study_that_needs_no_gpu_says_that_it_computes_without(gpus):
    gpus(seen := Found("2.13.0+cpu"))
    taken, said = chosen("smoke", seen)
    assert taken == ()
    assert said[0].startswith("computes on the CPU: torch 2.13.0+cpu is the CPU build")


def test_too_little_free_memory_is_refused(gpus):
    gpus(seen := found(device(0, free_bytes=20 * GB)))
    for name in ("smoke", "paper"):
        with pytest.raises(MachineError, match=r"about 62 GB.*20 GB are free") as told:
            chosen(name, seen)
        assert "--gpus" in told.value.hint
    assert chosen("paper", seen, "--anyway")[0] == (0,)


def test_another_process_on_a_gpu_keeps_what_is_measured_off_it(gpus):
    gpus(seen := found(device(0, others=(OtherProcess(4711, 3 * GB),))))
    with pytest.raises(MachineError, match=r"process 4711 holds 3.0 GB of GPU 0") as told:
        chosen("paper", seen)
    assert "--anyway" in told.value.hint
    assert chosen("paper", seen, "--anyway")[0] == (0,)
    assert chosen("smoke", seen)[0] == (0,)


def test_an_engine_without_devices_is_refused_before_anything_is_built(gpus, monkeypatch):
    gpus(seen := found(device(0)))
    monkeypatch.setattr(engines, "cdi_devices", list)
    podman = Engine("podman", "podman", "4.3.1", False, 1)
    for arguments in (("paper", seen), ("smoke", seen, "--gpus", "0")):
        with pytest.raises(MachineError, match="no GPU reaches a container") as told:
            chosen(*arguments, engine=podman)
        assert "nvidia-ctk cdi generate" in told.value.hint
    taken, said = chosen("smoke", seen, engine=podman)
    assert taken == ()
    assert said == ["computes on the CPU: no device description (CDI) of an NVIDIA GPU"]


@pytest.mark.parametrize("text", ["0", "-1", "x", "inf", "nan"])
def test_minutes_between_checkpoints_are_a_positive_number(capsys, text):
    code, _, err = run(capsys, "run", "--checkpoint-minutes", text)
    assert code == 2
    assert "not a positive number of minutes" in err
