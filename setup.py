"""What ``pyproject.toml`` cannot say: a wheel carries the kit's data, which lie beside the package.

``bench.places`` finds them there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DATA = ("containers", "datasets", "reports/reference")
_TEMPORARY = shutil.ignore_patterns("__pycache__", "*.tmp")


class BuildWithData(build_py):
    """Copies the data into the package that is built; an editable one finds them where they are."""

    def run(self) -> None:
        """Build the package, then add the data."""
        super().run()
        if self.editable_mode:
            return
        kit = Path(self.build_lib) / "bench" / "kit"
        shutil.rmtree(kit, ignore_errors=True)  # what an earlier build left in build/
        for folder in DATA:
            shutil.copytree(Path(__file__).parent / folder, kit / folder, ignore=_TEMPORARY)


setup(cmdclass={"build_py": BuildWithData})
