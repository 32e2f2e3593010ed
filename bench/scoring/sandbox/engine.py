"""A container image as a jail: for tests that live in an image of somebody else.

One container a command: without network, without capabilities (but that of root to write
files of other users, which such images are full of), with limits, and always removed: by
the engine when it ends, by name when it is killed. Killing ``podman run`` or ``docker run``
would leave the container running. Its own file system is writable and goes with it.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
import shutil
import subprocess
import time

from bench.errors import MachineError
from bench.scoring.sandbox.limits import JailResult, Limits, result
from bench.scoring.sandbox.watch import Prisoner

ENGINES = ("podman", "docker")
#: Every container of the kit is called so, followed by a number of its own.
PREFIX = "bench-"
_INSPECT_S = 60.0
_REMOVE_S = 60.0
#: The engine's own failure, as podman and docker report it: nothing ran.
_ENGINE_FAILED = 125
_KILLED = 137


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image that an engine has here; ``digest`` is its id."""

    engine: str
    name: str
    digest: str

    def run(self, command: list[str], stdin: bytes, limits: Limits) -> JailResult:
        """Run a command in a container of its own, to its end or to the limit that ends it.

        The outcome ``refused`` says that the engine did not start it: a command that may end
        with the same status had better write something at once. The engine counts
        memory (a container that exceeds it is killed) and processes; CPU time and the size
        of files are limited per process.
        """
        name = f"{PREFIX}{secrets.token_hex(8)}"
        arguments = [self.engine, "run", *self._confined(name, limits), self.name, *command]
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        ended = False
        try:
            # What is watched here is the client; the engine watches what runs in the container.
            prisoner = Prisoner(process, time.monotonic(), limits.memory_bytes, stdin)
            end = prisoner.wait(limits.wall_s, limits.channel_bytes, limits.printed_bytes)
            ended = end.stopped_by is None
        finally:
            if not ended:
                if process.poll() is None:
                    process.kill()
                self._remove(name)
        seen = result(end, limits)
        if end.stopped_by is None and end.exit_code == _ENGINE_FAILED and not end.channel:
            return dataclasses.replace(seen, outcome="refused")
        if end.stopped_by is None and end.exit_code == _KILLED:
            return dataclasses.replace(seen, outcome="memory")
        return seen

    def _confined(self, name: str, limits: Limits) -> list[str]:
        options = [
            *("--rm", "--interactive", "--pull=never", f"--name={name}", "--network=none"),
            *("--cap-drop=ALL", "--cap-add=DAC_OVERRIDE", "--security-opt=no-new-privileges"),
            *(f"--memory={limits.memory_bytes}", f"--memory-swap={limits.memory_bytes}"),
            *("--cpus=1", f"--pids-limit={limits.processes}", "--ulimit=core=0"),
            f"--ulimit=cpu={limits.cpu_s}",
            f"--ulimit=fsize={limits.file_bytes}",
            f"--ulimit=nofile={limits.open_files}",
            "--entrypoint=",
        ]
        if self.engine.endswith("podman"):  # should this process be killed before it can remove
            options.append(f"--timeout={int(limits.wall_s) + 60}")
        return options

    def _remove(self, name: str) -> None:
        """Remove a container that may still run; the engine knows whether there is one."""
        command = [self.engine, "rm", "--force", name]
        try:
            subprocess.run(command, capture_output=True, timeout=_REMOVE_S, check=False)
        except subprocess.TimeoutExpired:
            raise MachineError(
                f"the container {name} cannot be removed: {self.engine} does not answer",
                hint=f"remove it by hand: {' '.join(command)}",
            ) from None


@functools.cache
def find(name: str) -> Image | None:
    """The image of a name (or an id) that podman or docker has here; nothing is pulled."""
    for engine in ENGINES:
        if shutil.which(engine) is None:
            continue
        command = [engine, "image", "inspect", "--format", "{{.Id}}", name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_INSPECT_S, check=False
            )
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0 and done.stdout.strip():
            return Image(engine, name, done.stdout.strip().removeprefix("sha256:"))
    return None
