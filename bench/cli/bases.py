"""``bases``: make a study's tiny bases anew, and keep them as those that come with the kit."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import places
from bench.cli.choice import choose
from bench.cli.console import err, out
from bench.errors import BenchError
from bench.grid.study import TinyBase


def declare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of ``bases``."""
    one = commands.add_parser("bases", help="make the tiny bases that come with the kit anew")
    one.add_argument("--study", default="smoke", help="whose sizes (default: smoke)")
    one.add_argument("--with", dest="options", action="append", default=[], metavar="OPTION")
    one.set_defaults(command=make)


def make(options: argparse.Namespace) -> int:
    """Pretrain each tiny size of a study and keep it in ``datasets/bases``.

    Raises:
        BenchError: the study has no tiny size.
    """
    places.require_checkout("keeping bases needs")
    study, _ = choose(options.study, options.options)
    tiny = [base for base in study.sizes if isinstance(base, TinyBase)]
    if not tiny:
        raise BenchError(
            f"{study.name} has no tiny size", hint="name a study that has, for example smoke"
        )
    import torch  # not needed to tell a mistake
    import transformers

    from bench.data import shippedbases
    from bench.train import arithmetic
    from bench.train import bases as making

    made_with = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "arithmetic": arithmetic.on_cpu(),
    }
    for base in tiny:
        err.print(f"{base.name}: {base.pretrain_steps} steps")
        with tempfile.TemporaryDirectory() as folder:
            making.make(base, study.seed, Path(folder))
            kept = shippedbases.keep(base, study.seed, Path(folder), made_with)
        size = sum(path.stat().st_size for path in kept.iterdir())
        out.print(f"{base.name}: {kept} ({size / 1e6:.1f} MB)", soft_wrap=True, markup=False)
    return 0
