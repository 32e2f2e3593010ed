"""One interface to podman and docker: found, told apart, and given the right arguments."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench.containers import engine
from bench.containers.engine import ContainerSpec, Engine, Mount
from bench.errors import MachineError
from bench.run import doctor

PODMAN = {
    "host": {
        "cgroupManager": "cgroupfs",
        "cgroupVersion": "v2",
        "eventLogger": "file",
        "security": {"rootless": False},
    },
    "version": {"Version": "4.3.1"},
}
DOCKER = {"ServerVersion": "28.1.0", "CgroupVersion": "2", "SecurityOptions": ["name=seccomp"]}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which only what a test installs is found."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(engine.VARIABLE, raising=False)
    return folder


def install(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def answering(told: object) -> str:
    return f"printf '%s' '{json.dumps(told)}'"


def made(name: str = "podman", **changes: object) -> Engine:
    known = {"program": name, "version": "1", "rootless": False, "cgroups": 2, **changes}
    return Engine(name, **known)  # type: ignore[arg-type]


def command(of: Engine, **changes: object) -> list[str]:
    spec = {"memory_bytes": 2**30, "cpus": 1.5, **changes}
    return of.run_command(ContainerSpec("bench-1", "image", ["python"], **spec))  # type: ignore[arg-type]


def test_podman_comes_before_docker(programs):
    install(programs, "podman", answering(PODMAN))
    install(programs, "docker", answering(DOCKER))
    found = engine.find()
    assert (found.name, found.version, found.cgroups) == ("podman", "4.3.1", 2)
    assert not found.rootless
    assert engine.find("docker").version == "28.1.0"


def test_an_engine_that_does_not_answer_is_passed_over(programs):
    install(programs, "podman", "echo 'cannot connect' >&2; exit 125")
    install(programs, "docker", answering({**DOCKER, "SecurityOptions": ["name=rootless"]}))
    found = engine.find()
    assert (found.name, found.rootless) == ("docker", True)


def test_a_docker_client_without_its_server_is_no_engine(programs):
    install(programs, "docker", answering({"ServerErrors": ["is the daemon running?"]}))
    with pytest.raises(MachineError, match="podman is not installed; docker does not answer"):
        engine.find()


def test_an_unknown_engine_is_named(programs, monkeypatch):
    monkeypatch.setenv(engine.VARIABLE, "lxc")
    with pytest.raises(MachineError, match="'lxc'"):
        engine.find()


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs on this machine")
def test_without_systemd_podman_manages_its_groups_itself(programs):
    host = {**PODMAN["host"], "cgroupManager": "systemd", "eventLogger": "journald"}
    install(programs, "podman", answering({**PODMAN, "host": host}))
    assert engine.find().options == ("--cgroup-manager=cgroupfs", "--events-backend=file")


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_every_container_is_hardened(name):
    arguments = command(made(name))
    for wanted in (
        "--rm",
        "--network=none",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--pull=never",
        "--memory=1073741824",
        "--memory-swap=1073741824",
        "--cpus=1.5",
        "--pids-limit=4096",
        "--name=bench-1",
    ):
        assert wanted in arguments
    assert not any("privileged=" in one or one == "--privileged" for one in arguments)
    assert arguments[-2:] == ["image", "python"]


def test_mounts_are_read_only_unless_they_are_said_to_be_writable():
    mounts = [Mount(Path("/data")), Mount(Path("/out"), True), Mount(Path("/a"), target=Path("/b"))]
    told = [one for one in command(made(), mounts=mounts) if one.startswith("--mount")]
    assert told == [
        "--mount=type=bind,src=/data,dst=/data,ro=true",
        "--mount=type=bind,src=/out,dst=/out",
        "--mount=type=bind,src=/a,dst=/b,ro=true",
    ]


def test_nobody_runs_as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--user=65534:65534" in command(made())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 100)
    rootless = command(made(rootless=True))
    assert {"--user=1000:100", "--userns=keep-id"} <= set(rootless)
    assert "--user=1000:100" in command(made("docker"))
    assert "--user=0:0" in command(made("docker", rootless=True))  # which is the caller


def test_limits_are_only_asked_for_where_the_engine_can_set_them():
    """A rootless one under version 1 cannot, and says so at every start."""
    limits = ("--memory", "--cpus", "--pids-limit")
    for able in (made(), made(rootless=True), made(cgroups=1)):
        assert able.limits
        assert all(any(one.startswith(limit) for one in command(able)) for limit in limits)
    unable = made(rootless=True, cgroups=1)
    assert not unable.limits
    assert not [one for one in command(unable) if one.startswith(limits)]


def test_gpus_go_by_cdi_under_podman_and_by_its_runtime_under_docker():
    both = command(made(), gpus=(0, "GPU-1a"))
    assert [one for one in both if "gpu" in one] == [
        "--device=nvidia.com/gpu=0",
        "--device=nvidia.com/gpu=GPU-1a",
    ]
    assert "--gpus=device=2" in command(made("docker"), gpus=(2,))
    assert '--gpus="device=0,2"' in command(made("docker"), gpus=(0, 2))
    assert not any("gpu" in one for name in ("podman", "docker") for one in command(made(name)))


def test_only_the_scoring_container_may_make_namespaces():
    assert "--security-opt=unmask=ALL" in command(made(), nested=True)
    assert "--security-opt=seccomp=unconfined" in command(made("docker"), nested=True)
    assert not any("unmask" in one or "seccomp" in one for one in command(made()))


def test_the_caller_s_own_limits_are_not_exceeded(monkeypatch):
    monkeypatch.setattr(engine.resource, "getrlimit", lambda _: (64, 128))
    assert {"--ulimit=nofile=128:128", "--ulimit=nproc=128:128"} <= set(made().ulimits)


def test_a_failed_command_says_why(programs):
    install(programs, "podman", "echo first >&2; echo 'Error: no such image' >&2; exit 125")
    with pytest.raises(MachineError, match="podman rm failed: Error: no such image"):
        made(program=str(programs / "podman")).call("rm", "x")


def cdi(folder: Path) -> Path:
    """A device description as NVIDIA's toolkit writes it, of a GPU that is not there."""
    folder.mkdir()
    path = folder / "nvidia.yaml"
    nodes = "containerEdits:\n      deviceNodes:\n      - path: /dev/null\n        type: c\n"
    devices = "".join(f"  - name: {json.dumps(name)}\n    {nodes}" for name in ("0", "all"))
    path.write_text(f"cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n{devices}")
    return path


def test_the_doctor_looks_for_device_descriptions(tmp_path, monkeypatch, programs):
    install(programs, "podman", answering(PODMAN))
    install(programs, "nvidia-smi", "exit 0")
    monkeypatch.setattr(engine, "cdi_devices", list)
    lacking = {check.name: check for check in doctor._containers()}["GPU in containers"]
    assert lacking.ok is False
    assert "nvidia-ctk cdi generate" in lacking.remedy
    described = cdi(tmp_path / "cdi")
    monkeypatch.undo()
    assert engine.cdi_devices([tmp_path / "absent", described.parent]) == [described]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "DEPRECATED: The legacy builder is deprecated and will be removed.\n"
            "ERROR: BuildKit is enabled but the buildx component is missing or broken.\n"
            "       Install the buildx component to build images with BuildKit:\n"
            "       https://docs.docker.com/go/buildx/\n",
            "ERROR: BuildKit is enabled but the buildx component is missing or broken.",
        ),
        (
            "STEP 3/4: RUN sh venv.sh\nERROR: No matching distribution found for x==1\n"
            'Error: building at STEP "RUN sh venv.sh": while running runtime: exit status 1\n',
            "ERROR: No matching distribution found for x==1",
        ),
        (
            '#9 0.512 E: Unable to locate package x\n#9 ERROR: process "sh" did not\n------\n',
            "E: Unable to locate package x",
        ),
        ("\x1b[31mError: no such image\x1b[0m\nsee --help\n", "Error: no such image"),
        ("reading errors.txt\nno space left on device\n\n", "no space left on device"),
        ("Error response from daemon: conflict\n", "Error response from daemon: conflict"),
        ("", ""),
    ],
)
def test_a_failure_is_told_by_its_cause(said, told):
    assert engine.cause(said) == told
