"""What a container used is read from its control group, of either version."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import cgroups, measure
from bench.cgroups import Group

MIB = 2**20


def first(root: Path) -> Path:
    """A hierarchy of version 1."""
    (root / "memory").mkdir(parents=True)
    (root / "cpuacct").mkdir()
    (root / "memory" / "memory.limit_in_bytes").write_text(f"{900 * MIB}\n")
    (root / "memory" / "memory.usage_in_bytes").write_text(f"{50 * MIB}\n")
    (root / "memory" / "memory.max_usage_in_bytes").write_text(f"{70 * MIB}\n")
    (root / "cpuacct" / "cpuacct.usage").write_text("2500000000\n")
    return root


def second(root: Path) -> Path:
    """A hierarchy of version 2."""
    root.mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    (root / "memory.max").write_text(f"{900 * MIB}\n")
    (root / "memory.current").write_text(f"{50 * MIB}\n")
    (root / "memory.peak").write_text(f"{70 * MIB}\n")
    (root / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n")
    return root


@pytest.mark.parametrize("make", [first, second])
def test_both_versions_tell_the_same(tmp_path, make):
    group = cgroups.group(make(tmp_path / "cgroup"))
    assert group is not None
    assert (group.memory_bytes(), group.peak_bytes()) == (50 * MIB, 70 * MIB)
    assert group.cpu_s() == pytest.approx(2.5)


def test_an_old_kernel_does_not_tell_the_peak(tmp_path):
    root = second(tmp_path / "cgroup")
    (root / "memory.peak").unlink()
    group = cgroups.group(root)
    assert group is not None
    assert group.peak_bytes() is None


@pytest.mark.parametrize(
    ("make", "limit", "unlimited"),
    [
        (first, "memory/memory.limit_in_bytes", "9223372036854771712\n"),
        (second, "memory.max", "max\n"),
    ],
)
def test_a_group_without_a_limit_is_not_the_containers(
    tmp_path, monkeypatch, make, limit, unlimited
):
    """A rootless engine under version 1 shows the whole machine's."""
    root = make(tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "group", lambda real=cgroups.group: real(root))
    monkeypatch.setenv(cgroups.VARIABLE, "podman")
    assert cgroups.own() is not None
    (root / limit).write_text(unlimited)
    assert cgroups.own() is None
    (root / limit).unlink()
    assert cgroups.own() is None


def test_outside_of_a_container_nothing_is_read(tmp_path, monkeypatch):
    monkeypatch.delenv(cgroups.VARIABLE, raising=False)
    assert cgroups.own() is None
    assert cgroups.group(tmp_path) is None


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    group = cgroups.group(first(tmp_path / "cgroup"))
    assert group is not None
    monkeypatch.setattr(cgroups, "own", lambda: group)
    return group


def test_a_peak_is_exact_once_the_kernel_s_mark_has_risen(container):
    with measure.Meter(1) as meter, meter.phase("load"):
        container.peak.write_text(str(90 * MIB))
        container.cpu.write_text("4000000000")
    (phase,) = meter.phases
    assert phase.container is not None
    assert (phase.container.peak_bytes, phase.container.exact) == (90 * MIB, True)
    assert phase.container.cpu_s == pytest.approx(1.5)


def test_below_an_earlier_peak_the_samples_count(container):
    with measure.Meter(1) as meter:
        container.memory.write_text(str(60 * MIB))
        meter._sample()
        container.memory.write_text(str(10 * MIB))
    assert meter.total is not None
    use = meter.total.container
    assert use is not None
    assert (use.peak_bytes, use.exact) == (60 * MIB, False)
