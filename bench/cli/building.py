"""The images from the command line: fetch what they are made of, build, lock."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.table import Table

from bench import places
from bench.cli import paths
from bench.cli.console import err, out
from bench.cli.livefetch import size
from bench.containers import engine as engines
from bench.containers import images
from bench.containers.engine import Engine
from bench.containers.images import Image, Wanted
from bench.errors import BenchError
from bench.gpus import gpu_visible


def declare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``images`` and ``lock``."""
    told = "build the container images, pinned by lock and without network"
    build = commands.add_parser("images", help=told)
    build.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(images.NAMES)} (default: run score)"
    )
    declare_sources(build)
    build.add_argument("--offline", action="store_true", help="never touch the network")
    build.add_argument(
        "--again",
        action="store_true",
        help="build each a second time and compare: the same lock gives the same digest",
    )
    build.add_argument(
        "--prune",
        action="store_true",
        help="then remove the images of earlier recipes; the results made in them stay",
    )
    build.set_defaults(command=build_images)
    lock = commands.add_parser("lock", help="resolve every lock anew; options after -- go to uv")
    lock.add_argument("uv", nargs="*", metavar="OPTION", help="for example -- --upgrade")
    lock.set_defaults(command=refresh_locks)


def declare_sources(parser: argparse._ActionsContainer) -> None:
    """The options that say which images, and where their parts are."""
    parser.add_argument(
        "--gpu",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="torch for CUDA (default: where an NVIDIA driver is installed)",
    )
    parser.add_argument(
        "--base-image",
        metavar="NAME@sha256:…",
        help=f"a Debian 12 image instead of the kit's own base (or {images.BASE_VARIABLE})",
    )
    parser.add_argument(
        "--wheels",
        action="append",
        type=paths.path,
        default=[],
        metavar="DIR",
        help="take wheels, Debian packages and tools from there before any download, from "
        "the folder itself or wheels/, debs/ and tools/ in it (repeatable)",
    )


def build_images(options: argparse.Namespace) -> int:
    """Build what is missing; an image that comes out otherwise a second time makes it 1."""
    places.require_checkout("images need")
    engine = engines.find()
    wanted, sources = _wanted(options), _sources(options)
    names = images.of(options.names or ["run", "score"], wanted)
    took: dict[str, float] = {}
    found: dict[str, Image] = {}
    for name in names:
        start = time.monotonic()
        built = bool(images.missing(engine, [name], wanted))
        found |= images.ensure(
            engine, [name], wanted, sources=sources, offline=options.offline, progress=_say
        )
        if built:
            took[name] = time.monotonic() - start
    out.print(_table(list(found.values()), took))
    code = max(_again(engine, image, wanted) for image in found.values()) if options.again else 0
    if options.prune:
        _prune(engine, wanted)
    return code


def _prune(engine: Engine, wanted: Wanted) -> None:
    """Remove the images of earlier recipes; one that a container uses is kept and named."""
    for reference in images.outdated(engine, wanted):
        done = engine.call("image", "rm", reference, check=False)
        kept = f"kept: {engines.cause(done.stderr)}" if done.returncode else "removed"
        out.print(f"{reference}: {kept}", soft_wrap=True, markup=False)


def _again(engine: Engine, image: Image, wanted: Wanted) -> int:
    """Build an image once more; 1 where it differs from the one that is there."""
    tag = f"{image.reference}-again"
    second = images.build(engine, image.name, wanted, tag=tag, offline=True)
    engine.call("image", "rm", tag, check=False)
    same = second.id == image.id
    word = "[green]identical[/]" if same else "[red]differs[/]"
    out.print(f"{image.name}: built again, {word}: {second.id}", soft_wrap=True)
    return 0 if same else 1


def fetch_images(options: argparse.Namespace) -> int:
    """Bring what the images are made of onto this machine, so that they build offline."""
    places.require_checkout("images need")
    wanted = _wanted(options)
    names = images.of(["run", "score"], wanted)
    images.fetch(names, wanted, sources=_sources(options), offline=options.offline, progress=_say)
    folder = images.store("debs").folder.parent
    out.print(f"what the images are made of is in {folder}, verified", soft_wrap=True, markup=False)
    return 0


def refresh_locks(options: argparse.Namespace) -> int:
    """Resolve the locks anew."""
    places.require_checkout("locks need")
    from bench.containers import locks

    locks.refresh(_say, options.uv)
    out.print(f"the locks are in {images.LOCKS}", soft_wrap=True, markup=False)
    return 0


def _wanted(options: argparse.Namespace) -> Wanted:
    gpu = gpu_visible() if options.gpu is None else options.gpu
    return Wanted(gpu=gpu, base_image=options.base_image)


def _sources(options: argparse.Namespace) -> list[Path]:
    for folder in options.wheels:
        if not folder.is_dir():
            raise BenchError(f"--wheels {folder}: no such folder", hint="name one that exists")
    return [folder.resolve() for folder in options.wheels]


def _say(line: str) -> None:
    err.print(line, soft_wrap=True, markup=False)


def _table(found: list[Image], took: dict[str, float]) -> Table:
    table = Table("image", "digest", "size", "")
    for image in found:
        how = f"built in {took[image.name]:.0f} s" if image.name in took else "up to date"
        table.add_row(image.reference, image.id[:12], size(image.bytes), how)
    return table
