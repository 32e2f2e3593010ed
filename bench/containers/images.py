"""The images: what each is made of, its tag, and building it without network.

An image's tag is a digest of its recipe (the Containerfile, scripts and locks that decide
it, and its parent's recipe), so a tag that is there is up to date. Everything that a build
needs is fetched and verified first; the build itself sees one read-only folder. Two builds
of one recipe give the same files and settings, under podman and under docker.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.containers import debian, identity, rootfs, wheels
from bench.containers.engine import Engine, cause
from bench.containers.stores import Store, link
from bench.data.sources import ROOT, cache_folder
from bench.errors import BenchError, MachineError, unknown
from bench.grid.closure import Code
from bench.grid.keys import digest
from bench.scoring.sandbox import packages

#: The images in the order in which they are built.
NAMES = ("base", "run", "score")
#: What the kit calls an image: its kind, and the digest of its recipe.
_OURS = re.compile(r"localhost/bench-(?:base|run|run-cuda|score):[0-9a-f]{12}")
#: Stands in for every time of an image: 1 January 2026.
EPOCH = 1767225600
#: Replaces the base that the kit makes itself; the same as ``--base-image``.
BASE_VARIABLE = "BENCH_BASE_IMAGE"
FOLDER = ROOT / "containers"
LOCKS = FOLDER / "locks"
#: What the score image compiles into itself, and whose sources do not decide how.
_TOOLS = "bench.containers.tools:main"
_NOT_COMPILED = (
    *("bench.errors", "bench.places", "bench.records", "bench.data", "bench.scoring.admission"),
    *("bench.scoring.quality.jvm", "bench.scoring.quality.sonartools"),
)
_SCRIPTS = ("debs.sh", "venv.sh")


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image that is here: its tag, its identity (of its files and settings), its size."""

    name: str
    reference: str
    id: str
    bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Which images: for CUDA or not, on the kit's own base or one named by digest."""

    gpu: bool = False
    base_image: str | None = None

    @property
    def base(self) -> str | None:
        """The foreign base, None for the kit's own.

        Raises:
            BenchError: it is named by a tag, which may change.
        """
        named = self.base_image or os.environ.get(BASE_VARIABLE) or None
        if named and not re.search(r"@sha256:[0-9a-f]{64}$", named):
            raise BenchError(
                f"base image {named}: not named by its digest",
                hint="NAME@sha256:…, as podman image inspect --format {{.Digest}} tells it",
            )
        return named


def of(names: Sequence[str], wanted: Wanted) -> list[str]:
    """The images to build for some names, parents first.

    Raises:
        BenchError: no such image.
    """
    for name in names:
        if name not in NAMES:
            raise unknown("image", name, NAMES)
    whole = {"base", *names} if wanted.base is None else {*names} - {"base"}
    return [name for name in NAMES if name in whole]


def locks(name: str, wanted: Wanted) -> list[Path]:
    """The locks of the Python packages of an image."""
    if name == "run":
        return [LOCKS / "run.txt", LOCKS / ("torch-cuda.txt" if wanted.gpu else "torch-cpu.txt")]
    return [LOCKS / "score.txt"] if name == "score" else []


def debs(name: str, wanted: Wanted) -> list[debian.Deb]:
    """The Debian packages that an image adds to its parent; a foreign base may have some."""
    base = debian.read(LOCKS / "base.debs.txt")
    own = {"base": base, "run": (), "score": debian.read(LOCKS / "score.debs.txt")}[name]
    return [*(base if wanted.base and name != "base" else ()), *own]


def recipe(name: str, wanted: Wanted) -> str:
    """The reference of an image: its name, and a digest of everything that decides it."""
    files = [FOLDER / name / "Containerfile"]
    parts: dict[str, object] = {"epoch": EPOCH}
    if name == "base":
        files += [LOCKS / "base.debs.txt", ROOT / "bench/containers/rootfs.py"]
    else:
        files += [FOLDER / name / file for file in _own(name)]
        files += [*(FOLDER / script for script in _SCRIPTS), *locks(name, wanted)]
        parts["parent"] = wanted.base or recipe("base", wanted)
    if name == "score":
        files += [LOCKS / "score.debs.txt", packages.PINS]
        parts["compiled"] = Code(ROOT, _NOT_COMPILED).files(_TOOLS)
    if wanted.base:
        files.append(LOCKS / "base.debs.txt")
    parts["files"] = {
        str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }
    kind = "run-cuda" if name == "run" and wanted.gpu else name
    return f"localhost/bench-{kind}:{digest(parts)[:12]}"


def _own(name: str) -> tuple[str, ...]:
    """The scripts and lists of an image beside its Containerfile."""
    return ("unused.txt", "imports.txt", *(("tools.sh",) if name == "score" else ()))


def here(engine: Engine, name: str, wanted: Wanted) -> Image | None:
    """The image of this recipe, None where it has not been built."""
    return _inspect(engine, name, recipe(name, wanted))


def missing(engine: Engine, names: Sequence[str], wanted: Wanted) -> list[str]:
    """The names of those that are not here in their present recipe."""
    return [name for name in names if here(engine, name, wanted) is None]


def outdated(engine: Engine, wanted: Wanted) -> list[str]:
    """The kit's images here that are of other recipes than the present ones, for CPU or GPU."""
    kinds = [dataclasses.replace(wanted, gpu=gpu) for gpu in (False, True)]
    present = {recipe(name, kind) for kind in kinds for name in NAMES}
    format_ = "{{.Repository}}:{{.Tag}}"
    listed = engine.call("image", "ls", "--format", format_).stdout.split()
    return sorted({one for one in listed if _OURS.fullmatch(one)} - present)


def _inspect(engine: Engine, name: str, reference: str) -> Image | None:
    found = identity.of(engine, reference)
    return None if found is None else Image(name, reference, *found)


def ensure(
    engine: Engine,
    names: Sequence[str],
    wanted: Wanted,
    *,
    sources: Sequence[Path] = (),
    offline: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Image]:
    """The images of some names, built where they are missing.

    ``sources`` are folders of the user that hold wheels and Debian packages.

    Raises:
        MachineError: something cannot be had or built.
    """
    absent = missing(engine, names, wanted)
    built = {}
    for name in of(absent, wanted) if absent else ():
        if here(engine, name, wanted) is None:
            fetch([name], wanted, sources=sources, offline=offline, progress=progress)
            progress(f"building {recipe(name, wanted)}")
            built[name] = build(engine, name, wanted, offline=offline)
    images = {name: built.get(name) or here(engine, name, wanted) for name in names}
    if gone := [name for name, image in images.items() if image is None]:
        raise MachineError(
            f"{recipe(gone[0], wanted)} was removed while others were built", hint="nox -s images"
        )
    return {name: image for name, image in images.items() if image is not None}


def store(kind: str, sources: Sequence[Path] = ()) -> Store:
    """The folder where a kind of file is kept: debs, wheels or tools."""
    return Store(cache_folder().resolve() / "images" / kind, tuple(sources))


def fetch(
    names: Sequence[str],
    wanted: Wanted,
    *,
    sources: Sequence[Path] = (),
    offline: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Bring what builds need onto this machine, verified.

    Raises:
        MachineError: something cannot be had.
    """
    for name in names:
        debian.fetch(debs(name, wanted), store("debs", sources), offline=offline, progress=progress)
        locked = [one for lock in locks(name, wanted) for one in wheels.read(lock)]
        wheels.fetch(locked, store("wheels", sources), offline=offline, progress=progress)
        if name == "score":
            for pin in packages.all_pinned():
                _fetch_tool(pin, store("tools", sources), progress=progress, offline=offline)


def _fetch_tool(
    pin: packages.Package, tools: Store, *, offline: bool, progress: Callable[[str], None]
) -> None:
    """Bring a pinned tool's package into the store."""
    if packages.held(pin, tools.folder):
        return
    for source in tools.sources:
        for folder in (source, source / tools.folder.name):
            found = packages.held(pin, folder)
            if found is not None:
                tools.take(found.name, {pin.sha256})
                return
    if offline:
        raise tools.lacking([f"{pin.name} {pin.version}"])
    progress(f"downloading {pin.provides}")
    with tools.scratch() as work:
        tools.put(packages.download(pin, work), {pin.sha256})


def build(
    engine: Engine, name: str, wanted: Wanted, *, tag: str | None = None, offline: bool = False
) -> Image:
    """Build one image from what was fetched; its parent must be here.

    Raises:
        MachineError: the build failed; its log is kept.
    """
    tag = tag or recipe(name, wanted)
    cache = cache_folder().resolve() / "images"
    cache.mkdir(parents=True, exist_ok=True)
    parent = wanted.base or recipe("base", wanted)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{name}-") as work:
        context = Path(work)
        context.chmod(0o755)
        _stage(context, name, wanted)
        command = ["build", "--network=none", "--no-cache", "--tag", tag]
        if engine.name == "podman":  # docker has neither
            command += ["--timestamp", str(EPOCH), "--layers=false", "--pull=never"]
        if name != "base":
            if wanted.base and not offline:
                _pull(engine, wanted.base)
            command += ["--build-arg", f"BASE_IMAGE={parent}"]
        if name == "run":
            command += ["--build-arg", f"GPUS={'all' if wanted.gpu else 'void'}"]
        containerfile = FOLDER / name / "Containerfile"
        _build(engine, [*command, "--file", str(containerfile), str(context)], name, cache)
    image = _inspect(engine, name, tag)
    if image is None:
        raise MachineError(f"{engine.name} built no {tag}", hint="nox -s doctor checks the engine")
    return image


def _pull(engine: Engine, reference: str) -> None:
    if engine.image_id(reference) is None:
        engine.call("pull", reference, timeout_s=None)


def _build(engine: Engine, command: Sequence[str], name: str, cache: Path) -> None:
    log = cache / f"{name}.log"
    with log.open("w") as file:
        done = subprocess.run(
            [engine.program, *engine.options, *command],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        )
    if done.returncode != 0:
        raise MachineError(
            f"building the image {name} failed: {cause(log.read_text(errors='replace'))}",
            hint=f"its log is {log}; nox -s doctor checks the engine",
        )


def _stage(context: Path, name: str, wanted: Wanted) -> None:
    """Fill the folder that a build sees."""
    folder = store("debs").folder
    if name == "base":
        rootfs.make(debs(name, wanted), folder, context / "rootfs.tar", EPOCH)
        return
    (context / "debs").mkdir()
    for deb in debs(name, wanted):
        link(folder / deb.file, context / "debs" / deb.file)
    _stage_wheels(context, [one for lock in locks(name, wanted) for one in wheels.read(lock)])
    for script in _SCRIPTS:
        link(FOLDER / script, context / script)
    for file in _own(name):
        link(FOLDER / name / file, context / file)
    if name == "score":
        _stage_tools(context)


def _stage_wheels(context: Path, locked: Iterable[wheels.Locked]) -> None:
    """The packages' files, and two lists: what is a wheel, and what has to be built first."""
    found = wheels.files(list(locked), store("wheels").folder)
    for path in found.values():
        link(path, context / "wheels" / path.name)
    lists: Mapping[str, list[wheels.Locked]] = {"wheels.txt": [], "sources.txt": []}
    for one, path in found.items():
        lists["wheels.txt" if path.suffix == ".whl" else "sources.txt"].append(one)
    for file, chosen in lists.items():
        (context / file).write_text(wheels.requirements(chosen))


def _stage_tools(context: Path) -> None:
    """The pinned tools, and the kit's sources that make programs of them."""
    for pin in packages.all_pinned():
        path = packages.held(pin, store("tools").folder)
        if path is not None:
            link(path, context / "tools" / path.name)
    files = [*Code(ROOT, ()).files(_TOOLS), "bench/__init__.py", "bench/containers/__init__.py"]
    for file in (*files, str(packages.PINS.relative_to(ROOT))):
        below = file.partition(":")[0]  # the entry's own module stands as path:function
        link(ROOT / below, context / "source" / below)
