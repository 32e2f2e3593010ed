"""The jail: one command of unknown intent, without network, secrets, time or memory to waste.

A sample runs as an unprivileged user of its own, in its own namespaces (bubblewrap), over
a read-only system, with one small writable ``/tmp``, no environment, no capabilities, a
system-call filter, resource limits, a wall clock and capped output. The way in depends on
the machine, so ``find_jail`` tries each and keeps the first that passes its own test:

- root: bubblewrap mounts as root, then the command drops to a user id of its own (works
  where user namespaces are restricted, and where sources lie in root's private folders);
- root without the right to mount (hardened containers): drop first, then a user namespace;
- anyone else: a user namespace.

A machine where none works yields a jail whose ``unavailable`` says why; nothing is run
then. Resource limits alone do not hold root (RLIMIT_NPROC is void for it), hence the user
id. Standard output is the result channel; what a program prints belongs on standard error.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.scoring.sandbox import memory, seccomp
from bench.scoring.sandbox.limits import JailResult, Limits, result
from bench.scoring.sandbox.memory import Group
from bench.scoring.sandbox.system import (
    bubblewrap,
    parents,
    python_command,
    python_mounts,
    system_folders,
)
from bench.scoring.sandbox.view import View
from bench.scoring.sandbox.watch import Prisoner

UNSAFE_OPTION = "--unsafe-run-model-code-without-sandbox"

#: User ids that neither Debian, Ubuntu nor systemd assign. Each prisoner draws one, since
#: the limit on processes counts per user id and stages score side by side.
_USER_IDS = range(60706, 61184)

_NAMESPACES = (
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
)
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # sets have the same order in every run
}
#: The first process of the namespace, as root without capabilities to speak of: it dies
#: with bubblewrap, which may not kill a prisoner of another user id, and all inside dies
#: with it. It also waits, so that the prisoner's CPU time is counted.
_KEEPER = ("sh", "-c", '"$@"; exit $?', "keeper")
#: A full /proc, the outer one (containers that mask it), or none.
_PROC: tuple[tuple[str, ...], ...] = (
    ("--proc", "/proc"),
    ("--ro-bind", "/proc", "/proc"),
    (),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Jail:
    """A way to confine a command on this machine. ``unavailable`` says why there is none."""

    way: str
    launcher: tuple[str, ...] = ()
    drop_first: bool = False
    drop_inside: bool = False
    proc: tuple[str, ...] = ()
    unavailable: str | None = None

    @property
    def confines(self) -> bool:
        """False only for the explicit, unsafe option."""
        return self.way != "unsafe"

    def draw(self) -> int:
        """The user id of a new prisoner, where it has one of its own."""
        return secrets.choice(_USER_IDS)

    def owner(self, user: int) -> int:
        """Who owns what a prisoner with that user id opens."""
        return user if self.drop_first or self.drop_inside else os.getuid()

    def start(
        self,
        command: Sequence[str],
        *,
        stdin: int | bytes,
        stdout: int | None = None,
        mounts: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        view: View | None = None,
        user: int | None = None,
    ) -> Prisoner:
        """Start a command; ``mounts`` are read-only, at the same path as outside.

        ``view`` shows more, or another system; the unsafe jail cannot show it.

        File descriptors given as ``stdin`` and ``stdout`` stay the caller's to close.
        Bytes are fed by ``Prisoner.wait`` through a pipe, which cannot be read twice; it
        also reads the channel where there is no ``stdout``.
        """
        if self.unavailable is not None:
            raise RuntimeError(f"no sandbox: {self.unavailable}")
        limits = limits or Limits()
        user = user or self.draw()
        variables = {**_ENVIRONMENT, **(environment or {})}
        limited = [*self._limited(limits), *command]
        group = self._group(limits)
        entered = group.command() if group is not None else []
        filter_fd = _memory_file(seccomp.program() or b"")
        try:
            confined = self._confined(mounts, variables, limits, filter_fd, user, view)
            process = subprocess.Popen(
                [*entered, *confined, *limited],
                stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
                stdout=subprocess.PIPE if stdout is None else stdout,
                stderr=subprocess.PIPE,
                env={} if self.confines else variables,
                cwd="/",
                pass_fds=[filter_fd],
                start_new_session=True,
                user=user if self.drop_first else None,
                group=user if self.drop_first else None,
                extra_groups=[] if self.drop_first else None,
            )
        finally:
            os.close(filter_fd)
        feed = stdin if isinstance(stdin, bytes) else b""
        return Prisoner(process, time.monotonic(), limits.memory_bytes, feed, group)

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        mounts: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        view: View | None = None,
    ) -> JailResult:
        """Run a command to its end, or to the limit that ends it.

        Raises:
            RuntimeError: this jail is unavailable; ask before.
        """
        limits = limits or Limits()
        prisoner = self.start(
            command, stdin=stdin, mounts=mounts, environment=environment, limits=limits, view=view
        )
        return result(
            prisoner.wait(limits.wall_s, limits.channel_bytes, limits.printed_bytes), limits
        )

    def _group(self, limits: Limits) -> Group | None:
        """A control group for a prisoner; one that has another user id from the start has none."""
        if not self.confines or self.drop_first:
            return None
        return memory.group(limits.memory_bytes + limits.scratch_bytes)

    def _limited(self, limits: Limits) -> list[str]:
        """The command that lowers the resource limits and goes on as the next command."""
        options = [
            f"--data={limits.memory_bytes}",
            f"--cpu={limits.cpu_s}",
            f"--fsize={limits.file_bytes}",
            f"--nofile={limits.open_files}",
            "--core=0",
        ]
        if limits.address_space:
            options.append(f"--as={limits.memory_bytes}")
        if self.confines:  # for the caller's own user id it would count all its processes
            options.append(f"--nproc={limits.processes}")
        return ["prlimit", *options, "--"]

    def _confined(
        self,
        mounts: Sequence[Path],
        variables: Mapping[str, str],
        limits: Limits,
        filter_fd: int,
        user: int,
        view: View | None,
    ) -> list[str]:
        if not self.confines:
            return []
        view = view or View()
        arguments = [*self.launcher, "--die-with-parent", "--new-session", "--as-pid-1"]
        if seccomp.program() is not None:
            arguments += ["--seccomp", str(filter_fd)]
        arguments += [*system_folders(view.root), *self.proc, "--dev", "/dev"]
        scratch = ["--perms", "1777", "--size", str(limits.scratch_bytes)]
        arguments += [*scratch, "--tmpfs", "/tmp"]  # noqa: S108
        for parent in parents([*mounts, *view.places()]):
            arguments += ["--perms", "0755", "--dir", str(parent)]
        arguments += view.arguments(limits.scratch_bytes)
        for mount in dict.fromkeys(mounts):
            arguments += ["--ro-bind", str(mount), str(mount)]
        arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--clearenv"]  # noqa: S108
        for name, value in variables.items():
            arguments += ["--setenv", name, value]
        arguments.append("--")
        if self.drop_inside:
            drop = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all"]
            arguments += [*_KEEPER, "setpriv", *drop, "--bounding-set=-all"]
        return arguments


def unsafe_jail() -> Jail:
    """Run without any confinement, with resource limits alone: only if asked by name."""
    return Jail("unsafe")


@functools.cache
def find_jail() -> Jail:
    """The first way that confines a command on this machine, tried once per process."""
    launcher = bubblewrap()
    if launcher is None:
        return Jail("none", unavailable="bubblewrap is not installed (no bwrap program)")
    for tool in ("prlimit", *(["setpriv"] if os.geteuid() == 0 else [])):
        if shutil.which(tool, path="/usr/bin:/bin") is None:
            return Jail("none", unavailable=f"{tool} of util-linux is not installed")
    reason = ""
    for jail in _ways(launcher):
        failure = _trial(jail)
        if not failure:
            return jail
        reason = reason or failure
    return Jail("none", unavailable=f"bubblewrap does not work here: {reason}")


def _ways(launcher: str) -> list[Jail]:
    privileged = [
        *("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"),
        *("--cap-add", "CAP_SETPCAP"),
    ]
    mounting = (launcher, *_NAMESPACES, *privileged)
    namespace = (launcher, "--unshare-all", "--cap-drop", "ALL")
    ways = [Jail("user namespace", namespace, proc=proc) for proc in _PROC]
    if os.geteuid() != 0:
        return ways
    return [
        *(Jail("own user id", mounting, drop_inside=True, proc=proc) for proc in _PROC),
        *(dataclasses.replace(way, way="own user id", drop_first=True) for way in ways),
    ]


def _trial(jail: Jail) -> str:
    """Why a jail does not confine; empty where it does."""
    try:
        seen = jail.run(
            python_command("-c", _TRIAL),
            mounts=python_mounts(),
            limits=Limits(cpu_s=2, wall_s=10, address_space=True),
        )
    except OSError as error:
        return str(error)
    if seen.outcome == "exited" and seen.channel == b"confined\n":
        return ""
    said = (seen.printed or seen.channel).decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"the trial ended with {seen.outcome} ({seen.exit_code})"


_TRIAL = """
import os
assert os.getuid() != 0, "still root inside"
assert not any(name for name in os.environ if name not in ("PATH", "HOME", "LANG", "PWD",
    "LC_CTYPE", "PYTHONHASHSEED")), f"environment leaks: {sorted(os.environ)}"
for folder in ("/usr", "/", "/dev"):
    try:
        open(folder + "/escape", "w")
    except OSError:
        continue
    raise AssertionError(f"{folder} is writable")
import socket
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as error:
    assert error.errno in (101, 111, 99), f"network: {error}"
open("/tmp/scratch", "w").close()
print("confined", flush=True)
"""


def _memory_file(content: bytes) -> int:
    """A file descriptor to read ``content`` from, without a file."""
    descriptor = os.memfd_create("bench")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
