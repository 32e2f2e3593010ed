"""The doctor names what is missing, and what to do about it."""

from __future__ import annotations

from bench.run import doctor
from bench.scoring.quality import javatools, jvm
from bench.scoring.sandbox import jdk
from bench.scoring.sandbox.jail import Jail


def test_every_check_is_answered_and_every_failure_has_a_remedy():
    found = doctor.checks()
    names = [check.name for check in found]
    assert len(names) == len(set(names))
    assert {"Python", "sandbox", "Java", "C#", "git", "npm", "GPU", "torch"} <= set(names)
    assert all(check.detail for check in found)
    assert all(check.remedy for check in found if check.ok is False)


def test_a_broken_sandbox_names_its_reason_and_the_remedy(monkeypatch):
    closed = Jail("none", unavailable="setting up uid map: Permission denied")
    monkeypatch.setattr(doctor, "find_jail", lambda: closed)
    monkeypatch.setattr(doctor, "_restricted", lambda: "sysctl -w kernel.setting=0")
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 1000)
    check = doctor._sandbox()
    assert check.ok is False
    assert "Permission denied" in check.detail
    assert "uid 1000" in check.detail
    assert "sysctl -w kernel.setting=0" in check.remedy


def test_missing_tools_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(jdk, "INSTALLED", tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    jdk.jdk.cache_clear()
    checks = {check.name: check for check in doctor.checks()}
    jdk.jdk.cache_clear()
    assert "openjdk" in checks["Java"].remedy
    assert "npm" in checks["C#"].remedy
    assert "npm" in checks["PMD"].remedy
    assert checks["git"].remedy == "apt-get install -y git"
    assert checks["container engine"].ok is None


def test_another_checkstyle_than_the_studys_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(javatools.JAR_VARIABLE, str(tmp_path / "missing.jar"))
    checks = {check.name: check for check in doctor.checks()}
    assert checks["Checkstyle"].ok is None
    assert "apt-get install -y checkstyle" in checks["Checkstyle"].remedy
    tool = jvm.Tool("Checkstyle 8.36.1", (), "Main")
    monkeypatch.setattr(javatools, "checkstyle", lambda: tool)
    checks = {check.name: check for check in doctor.checks()}
    assert "the study used 10.21.1" in checks["Checkstyle"].detail


def test_a_full_disk_and_a_small_memory_fail(monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_DISK_BYTES", 1 << 60)
    monkeypatch.setattr(doctor, "LEAST_MEMORY_BYTES", 1 << 60)
    checks = {check.name: check for check in doctor.checks()}
    assert checks["free disk"].ok is False
    assert checks["memory"].ok is False
