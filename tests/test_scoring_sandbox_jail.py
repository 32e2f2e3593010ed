"""What model-written code may try, and that the jail holds."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bench.measure import tree_rss_bytes
from bench.scoring.sandbox import jail as jail_module
from bench.scoring.sandbox.jail import Jail, find_jail, unsafe_jail
from bench.scoring.sandbox.limits import MIB, JailResult, Limits
from bench.scoring.sandbox.system import python_command, python_mounts

QUICK = Limits(cpu_s=1, wall_s=5, memory_bytes=256 * MIB, address_space=True)


@pytest.fixture(scope="module")
def jail() -> Jail:
    found = find_jail()
    if found.unavailable is not None:
        pytest.skip(f"no sandbox here: {found.unavailable}")
    return found


def attempt(jail: Jail, code: str, limits: Limits = QUICK) -> JailResult:
    command = python_command("-c", textwrap.dedent(code))
    return jail.run(command, mounts=python_mounts(), limits=limits)


def test_output_is_the_channel_and_prints_stand_apart(jail):
    seen = attempt(jail, "import sys; print('result'); print('chat', file=sys.stderr)")
    assert (seen.outcome, seen.exit_code) == ("exited", 0)
    assert (seen.channel, seen.printed) == (b"result\n", b"chat\n")
    assert seen.cpu_s > 0
    assert seen.peak_rss_bytes > MIB


def test_input_larger_than_a_pipe_arrives_whole(jail):
    data = bytes(range(256)) * 4096
    code = "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    seen = jail.run(python_command("-c", code), stdin=data, mounts=python_mounts(), limits=QUICK)
    assert seen.channel.decode().strip() == hashlib.sha256(data).hexdigest()


def test_input_that_nobody_reads_does_not_block(jail):
    seen = jail.run(
        python_command("-c", "pass"), stdin=bytes(4 * MIB), mounts=python_mounts(), limits=QUICK
    )
    assert seen.outcome == "exited"


def test_no_network(jail):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seen = attempt(
            jail, f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=2)"
        )
    assert seen.outcome == "error"
    assert b"Error" in seen.printed


def test_no_writes_outside_scratch(jail, tmp_path):
    places = [tmp_path, Path.home(), Path("/usr"), Path("/etc"), Path("/dev/shm"), Path("/")]
    code = f"""
        import os
        open('/tmp/scratch', 'w').close()
        for place in {[str(place) for place in places]!r}:
            try:
                os.makedirs(place, exist_ok=True)
                open(place + '/escaped', 'w').close()
            except OSError:
                continue
            print(place)
    """
    seen = attempt(jail, code)
    # what looks like the host's /tmp is its own scratch
    assert [line for line in seen.channel.split(b"\n") if line and b"/tmp" not in line] == []
    assert not any((place / "escaped").exists() for place in places)


def test_scratch_is_small_and_gone_afterwards(jail):
    limits = dataclasses.replace(QUICK, scratch_bytes=4 * MIB)
    code = """
        for n in range(100):
            open(f'/tmp/part{n}', 'wb').write(bytes(1 << 20))
    """
    seen = attempt(jail, code, limits)
    assert b"No space left" in seen.printed
    assert attempt(jail, "import os; print(os.listdir('/tmp'))").channel == b"[]\n"


def test_no_secrets_in_environment_files_or_processes(jail, tmp_path, monkeypatch):
    secret = secrets.token_hex(8)
    monkeypatch.setenv("BENCH_TEST_SECRET", secret)
    (tmp_path / "secret").write_text(secret)
    code = f"""
        import os, pathlib
        print(dict(os.environ))
        for path in ({str(tmp_path / "secret")!r}, '/etc/shadow', '/etc/passwd', '/root/.bashrc'):
            try:
                print(pathlib.Path(path).read_text())
            except OSError:
                pass
        for entry in os.listdir('/proc'):
            for name in ('environ', 'cmdline'):
                try:
                    print(open(f'/proc/{{entry}}/{{name}}').read())
                except OSError:
                    pass
    """
    seen = attempt(jail, code)
    assert seen.outcome == "exited"
    assert secret.encode() not in seen.channel
    assert b"root:" not in seen.channel


def test_runs_as_nobody_in_particular(jail):
    code = """
        import os
        status = dict(line.split(':', 1) for line in open('/proc/self/status'))
        print(os.getuid() != 0 and os.geteuid() != 0, int(status['CapEff'], 16),
              int(status['CapPrm'], 16), status['NoNewPrivs'].strip())
    """
    assert attempt(jail, code).channel == b"True 0 0 1\n"


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="no filter for it")
def test_no_user_namespace_of_its_own(jail):
    code = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.unshare(0x10000000), os.strerror(ctypes.get_errno()))
        print(libc.ptrace(0, 0, 0, 0), os.strerror(ctypes.get_errno()))
    """
    assert attempt(jail, code).channel.count(b"-1 Operation not permitted") == 2


def test_endless_loop_meets_the_cpu_limit(jail):
    seen = attempt(jail, "while True: pass")
    assert seen.outcome == "timeout"
    assert 0.5 < seen.cpu_s < 3


def test_sleeper_meets_the_wall_clock(jail):
    seen = attempt(jail, "import time; time.sleep(60)", dataclasses.replace(QUICK, wall_s=1))
    assert seen.outcome == "timeout"
    assert seen.wall_s < 30  # it would sleep for 60


def test_fork_bomb_fizzles(jail):
    code = """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
    """
    seen = attempt(jail, code, dataclasses.replace(QUICK, wall_s=3))
    assert seen.outcome == "timeout"


def test_big_allocation_fails_inside(jail):
    seen = attempt(jail, "data = bytearray(2 << 30)")
    assert seen.outcome == "error"
    assert b"MemoryError" in seen.printed
    # The kernel's mark includes the moment between fork and exec, as large as this process.
    assert seen.peak_rss_bytes < 256 * MIB + tree_rss_bytes(os.getpid())


def test_many_processes_share_the_memory_limit(jail):
    code = """
        import os, time
        for _ in range(6):
            if os.fork() == 0:
                break
        data = bytearray(60 << 20)
        for n in range(0, len(data), 4096):
            data[n] = 1
        time.sleep(30)
    """
    seen = attempt(jail, code, dataclasses.replace(QUICK, wall_s=20))
    assert seen.outcome == "memory"


def test_a_gigabyte_of_output_is_cut(jail):
    code = "import sys\nfor _ in range(1 << 14): sys.{}.write('x' * 65536)"
    limits = dataclasses.replace(QUICK, channel_bytes=MIB, printed_bytes=MIB)
    for stream in ("stdout", "stderr"):
        seen = attempt(jail, code.format(stream), limits)
        assert seen.outcome == "output-limit"
        assert len(seen.channel) <= MIB + 1
        assert len(seen.printed) <= MIB + 1


def test_huge_file_is_cut(jail):
    code = """
        with open('/tmp/huge', 'wb') as file:
            for _ in range(1 << 10):
                file.write(bytes(1 << 20))
    """
    limits = dataclasses.replace(QUICK, file_bytes=2 * MIB)
    seen = attempt(jail, code, limits)
    assert seen.outcome == "error"
    assert b"File too large" in seen.printed


def test_nothing_outlives_it(jail):
    mark = secrets.token_hex(8)
    code = f"""
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                sleep = [sys.executable, '-c', 'import time; time.sleep(60)', '{mark}']
                os.execv(sleep[0], sleep)
        time.sleep(0.3)
    """
    assert attempt(jail, code).outcome == "exited"
    assert mark not in _command_lines()


def test_cannot_kill_what_started_it(jail):
    code = """
        import os, signal
        for target in (os.getppid(), -1, 0, *range(2, 64)):
            try:
                os.kill(target, signal.SIGKILL)
            except (OSError, OverflowError):
                pass
    """
    attempt(jail, code)
    assert attempt(jail, "print('still here')").channel == b"still here\n"


def test_dies_with_its_parent(jail):
    mark = secrets.token_hex(8)
    program = f"""
        from bench.scoring.sandbox.jail import find_jail
        from bench.scoring.sandbox.system import python_command, python_mounts
        command = python_command('-c', 'import time; time.sleep(60)', '{mark}')
        find_jail().run(command, mounts=python_mounts())
    """
    root = Path(__file__).parent.parent
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=root)
    try:
        _until(lambda: mark in _command_lines())
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    _until(lambda: mark not in _command_lines())


def _command_lines() -> str:
    """The Python programs that run on the machine now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "time.sleep(60)" in line and "find_jail" not in line:
            found.append(line)
    return "\n".join(found)


def _until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_without_a_sandbox_nothing_runs():
    closed = Jail("none", unavailable="no bwrap program")
    with pytest.raises(RuntimeError, match="no bwrap program"):
        closed.run(["true"])


def test_a_machine_without_bubblewrap_says_so(monkeypatch):
    monkeypatch.setattr(jail_module, "bubblewrap", lambda: None)
    find_jail.cache_clear()
    try:
        assert "bubblewrap is not installed" in (find_jail().unavailable or "")
    finally:
        find_jail.cache_clear()


def test_a_bubblewrap_that_cannot_says_why(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setattr(jail_module, "bubblewrap", lambda: str(broken))
    find_jail.cache_clear()
    try:
        assert "No permissions to create new namespace" in (find_jail().unavailable or "")
    finally:
        find_jail.cache_clear()


def test_the_unsafe_way_still_has_limits():
    seen = attempt(unsafe_jail(), "while True: pass")
    assert seen.outcome == "timeout"
    seen = attempt(unsafe_jail(), "import os; print(sorted(os.environ))")
    assert b"HOME" in seen.channel
    assert b"PYTEST" not in seen.channel
