"""podman and docker behind one small interface: what the kit asks of a container engine.

Every container is the same hardened kind: no network, a read-only root, no capabilities, no
new privileges, a user without rights, limits on memory, cores, processes and time, and a
name by which it can always be removed. Nothing is ever pulled.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from bench.errors import MachineError

Name = Literal["podman", "docker"]
ENGINES: tuple[Name, ...] = ("podman", "docker")
#: Chooses one of two that are installed.
VARIABLE = "BENCH_ENGINE"
#: The user of containers that root starts: ``nobody`` owns nothing on the host.
_NOBODY = 65534
_TIMEOUT_S = 60
_ULIMITS = {"nofile": (resource.RLIMIT_NOFILE, 20000), "nproc": (resource.RLIMIT_NPROC, 4096)}
#: A line that states an error, perhaps behind BuildKit's number and time: ``#9 0.512 ERROR: …``.
_ERROR = re.compile(
    r"(?:#\d+ (?:[\d.]+ )?)?((?:error|fatal|panic|e)\b[^:]{0,40}: .*)", re.IGNORECASE
)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CDI_FOLDERS = (Path("/etc/cdi"), Path("/run/cdi"), Path("/var/run/cdi"))


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the host, at the same path inside unless ``target`` names another."""

    source: Path
    writable: bool = False
    target: Path | None = None

    @property
    def argument(self) -> str:
        """As ``--mount`` takes it."""
        fields = ["type=bind", f"src={self.source}", f"dst={self.target or self.source}"]
        return ",".join([*fields, *([] if self.writable else ["ro=true"])])


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container to run.

    ``gpus`` are the NVIDIA GPUs that it sees, by number or UUID. ``nested`` lets what runs
    inside make namespaces of its own: the sandbox of the samples.
    ``time_limit_s`` is the engine's own last resort (podman only).
    """

    name: str
    image: str
    command: Sequence[str]
    memory_bytes: int
    cpus: float
    mounts: Sequence[Mount] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    processes: int = 4096
    scratch_bytes: int = 1 << 30
    time_limit_s: int | None = None
    gpus: Sequence[int | str] = ()
    nested: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that answers. ``cgroups`` is the version of the control groups."""

    name: Name
    program: str
    version: str
    rootless: bool
    cgroups: int
    options: tuple[str, ...] = ()

    def call(
        self, *arguments: str, check: bool = True, timeout_s: float | None = _TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the engine and capture what it says.

        Raises:
            MachineError: it failed, with its last line, or hung.
        """
        command = [self.program, *self.options, *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=timeout_s
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MachineError(
                f"{self.name} {arguments[0]}: {error}", hint="nox -s doctor checks the engine"
            ) from None
        if check and done.returncode != 0:
            raise MachineError(
                f"{self.name} {arguments[0]} failed: {cause(done.stderr)}",
                hint="nox -s doctor checks the engine",
            )
        return done

    def image_id(self, reference: str) -> str | None:
        """The SHA-256 of an image's configuration; None where it is not here."""
        done = self.call("image", "inspect", "--format", "{{.Id}}", reference, check=False)
        return done.stdout.strip().removeprefix("sha256:") or None if not done.returncode else None

    def run_command(self, spec: ContainerSpec) -> list[str]:
        """The command that runs a container to its end and removes it."""
        uid, gid = self.user
        run = ["run", "--rm", "--interactive=false", f"--name={spec.name}", "--pull=never"]
        run += ["--network=none", "--read-only", "--cap-drop=all", f"--user={uid}:{gid}"]
        run += ["--security-opt=no-new-privileges", "--log-driver=none"]
        run += [f"--tmpfs=/tmp:rw,nosuid,nodev,size={spec.scratch_bytes},mode=1777"]
        run += self.ulimits
        if self.limits:
            run += [f"--memory={spec.memory_bytes}", f"--memory-swap={spec.memory_bytes}"]
            run += [f"--cpus={spec.cpus:g}", f"--pids-limit={spec.processes}"]
        if self.name == "podman" and self.rootless:
            run.append("--userns=keep-id")
        if self.name == "podman" and spec.time_limit_s is not None:
            run.append(f"--timeout={spec.time_limit_s}")
        if Path("/sys/fs/selinux/enforce").exists():
            run.append("--security-opt=label=disable")  # or the mounts would need new labels
        if spec.nested:
            run += self._nesting()
        run += self.gpu_arguments(spec.gpus)
        run += [f"--label={name}={value}" for name, value in spec.labels.items()]
        run += [f"--env={name}={value}" for name, value in spec.environment.items()]
        run += [f"--mount={mount.argument}" for mount in spec.mounts]
        return [self.program, *self.options, *run, spec.image, *spec.command]

    def gpu_problem(self) -> tuple[str, str] | None:
        """Why it cannot hand a GPU over, and the remedy; None where it can.

        podman knows GPUs by their CDI descriptions, docker by NVIDIA's runtime.
        """
        if self.name == "podman":
            if cdi_devices():
                return None
            remedy = "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
            return "no device description (CDI) of an NVIDIA GPU", remedy
        if "nvidia" in self.call("info", "--format={{json .Runtimes}}", check=False).stdout:
            return None
        remedy = "nvidia-ctk runtime configure --runtime=docker, then restart docker"
        return "docker has no NVIDIA runtime", remedy

    @property
    def limits(self) -> bool:
        """Whether it can limit a container's memory, cores and processes, and measure them."""
        return not (self.rootless and self.cgroups == 1)

    @property
    def user(self) -> tuple[int, int]:
        """The user and group of a container's processes, as the container numbers them.

        Files that they write belong to the caller, save where root is the caller: there
        they belong to nobody until the caller takes them.
        """
        if os.geteuid() == 0:
            return _NOBODY, _NOBODY
        if self.name == "docker" and self.rootless:
            return 0, 0  # its root is the caller
        return os.geteuid(), os.getegid()

    @property
    def ulimits(self) -> list[str]:
        """Limits that the caller may set: an engine's own defaults can lie above its right."""
        found = ["--ulimit=core=0:0"]
        for name, (number, wanted) in _ULIMITS.items():
            hard = resource.getrlimit(number)[1]
            limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            found.append(f"--ulimit={name}={limit}:{limit}")
        return found

    def gpu_arguments(self, gpus: Sequence[int | str]) -> list[str]:
        """Some NVIDIA GPUs: by their CDI names under podman, by docker's own runtime there."""
        if self.name == "podman":
            return [f"--device=nvidia.com/gpu={gpu}" for gpu in gpus]
        named = ",".join(map(str, gpus))
        if len(gpus) > 1:
            named = f'"device={named}"'  # the option is a line of CSV: quotes keep its commas
            return [f"--gpus={named}"]
        return [f"--gpus=device={named}"] if gpus else []

    def _nesting(self) -> list[str]:
        """Let an unprivileged process make namespaces and mount a fresh /proc in them.

        podman's system-call filter allows it; docker's does not, and has no finer switch
        than to leave the filter to the sandbox, which has its own.
        """
        if self.name == "podman":
            return ["--security-opt=unmask=ALL"]
        return ["--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined"]

    def names(self, label: str) -> list[str]:
        """The containers, running or not, that carry a label (``name=value``)."""
        listed = self.call("ps", "--all", f"--filter=label={label}", "--format={{.Names}}")
        return listed.stdout.split()

    def remove(self, *names: str) -> None:
        """End containers at once and remove them; those that are gone already are fine."""
        if names:
            now = ["--time=0"] if self.name == "podman" else []
            self.call("rm", "--force", *now, *names, check=False)


def find(wanted: str | None = None) -> Engine:
    """The engine to use: the named one (or ``BENCH_ENGINE``'s), else the first that answers.

    Raises:
        MachineError: there is none, or none that answers.
    """
    wanted = wanted or os.environ.get(VARIABLE) or None
    if wanted is not None and wanted not in ENGINES:
        raise MachineError(
            f"no container engine is called {wanted!r}", hint=f"{VARIABLE} is podman or docker"
        )
    reasons = []
    for name in ENGINES:
        if wanted not in (None, name):
            continue
        found = _probe(name)
        if isinstance(found, Engine):
            return found
        reasons.append(found)
    raise MachineError(
        "no container engine: " + "; ".join(reasons),
        hint="apt-get install -y podman, or run without containers: --executor venv",
    )


def _probe(name: Name) -> Engine | str:
    """The engine of a name, or why it cannot be used."""
    program = shutil.which(name)
    if program is None:
        return f"{name} is not installed"
    try:
        done = subprocess.run(
            [program, "info", "--format={{json .}}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
        told: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return f"{name} does not answer ({error})"
    if name == "podman" and "host" in told:
        return _podman(program, told)
    if name == "docker" and told.get("ServerVersion"):
        rootless = any("rootless" in str(one) for one in told.get("SecurityOptions") or ())
        version = str(told["ServerVersion"])
        return Engine(name, program, version, rootless, int(told.get("CgroupVersion") or 1))
    return f"{name} does not answer ({cause(done.stderr) or 'it says nothing'})"


def _podman(program: str, told: Mapping[str, Any]) -> Engine:
    host = told["host"]
    options = []
    if not Path("/run/systemd/system").is_dir():  # what systemd would manage has to do without
        if host.get("cgroupManager") == "systemd":
            options.append("--cgroup-manager=cgroupfs")
        if host.get("eventLogger") == "journald":
            options.append("--events-backend=file")
    return Engine(
        "podman",
        program,
        str(told.get("version", {}).get("Version", "unknown")),
        bool(host.get("security", {}).get("rootless")),
        2 if host.get("cgroupVersion") == "v2" else 1,
        tuple(options),
    )


def cdi_devices(folders: Sequence[Path] = _CDI_FOLDERS) -> list[Path]:
    """The device descriptions (CDI) of NVIDIA GPUs on this machine; podman needs one."""
    found = []
    for folder in folders:
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            if path.suffix in (".yaml", ".json") and "nvidia.com/gpu" in path.read_text():
                found.append(path)
    return found


def cause(said: str) -> str:
    """Why a program failed, from what it said: its first line of an error, else its last.

    What follows an error is advice, a link, or how those around it failed in turn.
    """
    lines = [_ESCAPES.sub("", line).strip() for line in said.splitlines()]
    errors = [found[1] for line in lines if (found := _ERROR.match(line))]
    return (errors or [line for line in lines if line] or [""])[0 if errors else -1]
