"""Memory of every kind counts, by the clock and not only while a prisoner is quiet."""

from __future__ import annotations

import os
import subprocess
import textwrap

import pytest

from bench.scoring.sandbox import memory
from bench.scoring.sandbox.jail import Jail, find_jail
from bench.scoring.sandbox.limits import MIB, JailResult, Limits
from bench.scoring.sandbox.memory import Group
from bench.scoring.sandbox.system import python_command, python_mounts

LIMITS = Limits(cpu_s=5, wall_s=20, memory_bytes=96 * MIB)


@pytest.fixture(scope="module")
def jail() -> Jail:
    found = find_jail()
    if found.unavailable is not None:
        pytest.skip(f"no sandbox here: {found.unavailable}")
    return found


def attempt(jail: Jail, code: str) -> JailResult:
    command = python_command("-c", textwrap.dedent(code))
    return jail.run(command, mounts=python_mounts(), limits=LIMITS)


def test_shared_memory_that_no_page_table_shows(jail):
    code = """
        import mmap, time
        held = []
        for _ in range(8):
            shared = mmap.mmap(-1, 16 << 20)
            shared.write(bytes(len(shared)))
            shared.madvise(mmap.MADV_DONTNEED)
            held.append(shared)
        time.sleep(10)
    """
    assert attempt(jail, code).outcome == "memory"


def test_shared_memory_within_the_limit_counts_once(jail):
    code = """
        import mmap, os, time
        shared = mmap.mmap(-1, 60 << 20)
        shared.write(bytes(len(shared)))
        time.sleep(0.5)
        print("done")
    """
    assert attempt(jail, code).channel == b"done\n"


def test_a_prisoner_that_never_rests_is_looked_at(jail):
    code = """
        import os
        for _ in range(4):
            if os.fork() == 0:
                break
        held = []
        while True:
            os.write(2, b".")
            held.append(bytes(4096))
    """
    assert attempt(jail, code).outcome == "memory"


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="no filter for it")
def test_memory_outside_of_any_process_is_not_to_be_had(jail):
    code = """
        import ctypes, os
        libc = ctypes.CDLL(None)
        try:
            os.memfd_create("x")
        except OSError as error:
            print(error.errno)
        print(libc.shmget(0, 1 << 20, 0o1600), libc.msgget(0, 0o1600), libc.mq_open(b"/x", 0o102))
    """
    assert attempt(jail, code).channel == b"1\n-1 -1 -1\n"


MAPS = b"""\
7f0000000000-7f0000400000 rw-s 00000000 00:01 11                         /dev/zero (deleted)
7f0000400000-7f0000500000 rw-s 00400000 00:01 11                         /dev/zero (deleted)
7f0001000000-7f0001100000 rw-s 00000000 00:01 12                         /memfd:name (deleted)
7f0002000000-7f0009000000 rw-p 00000000 00:00 0
7f0009000000-7f000a000000 r--s 00000000 08:01 13                         /usr/share/data
7f000a000000-7f000b000000 rw-p 00000000 00:01 14                         /dev/zero (deleted)
"""


def test_maps_tell_shared_memory_from_files_and_private_memory():
    assert memory._shared_maps(MAPS) == {b"00:0111": 5 * MIB, b"00:0112": MIB}


def test_a_group_has_its_limit_and_tells_what_exceeded_it(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_REMOVE_S", 0.0)
    group = Group(tmp_path, 7 * MIB)
    assert (group.folder / "memory.max").read_text() == str(7 * MIB)
    done = subprocess.run([*group.command(), "/bin/echo", "in"], capture_output=True, check=True)
    assert done.stdout == b"in\n"
    assert (group.folder / "cgroup.procs").read_text() == "0\n"
    assert not group.exceeded()
    (group.folder / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 2\n")
    assert group.exceeded()
    group.remove()
    assert (group.folder / "cgroup.kill").read_text() == "1"


def test_groups_are_made_only_where_the_controller_is_lent(tmp_path):
    assert not memory._lends(tmp_path)
    (tmp_path / "cgroup.subtree_control").write_text("cpu io")
    assert not memory._lends(tmp_path)
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory")
    assert memory._lends(tmp_path)
    assert not memory._works(tmp_path / "missing")


def test_a_prisoner_in_a_group_that_was_exceeded_ended_by_memory(jail, tmp_path, monkeypatch):
    """As the kernel does it: the group counts, and what is in it is killed."""

    class Exceeded(Group):
        def exceeded(self) -> bool:
            return True

    monkeypatch.setattr(memory, "_REMOVE_S", 0.0)
    monkeypatch.setattr(memory, "group", lambda limit: Exceeded(tmp_path, limit))
    seen = attempt(jail, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert seen.outcome == ("error" if jail.drop_first else "memory")
