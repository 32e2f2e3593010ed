"""What the score image's build runs in itself: the pinned tools and the kit's own programs.

``python -m bench.containers.tools``, with ``BENCH_CACHE`` naming where to; a tool that
cannot be made ends the build.
"""

from __future__ import annotations

import sys

from bench.errors import BenchError
from bench.scoring.quality import javatools
from bench.scoring.sandbox import dotnet, jdk


def main() -> int:
    """Unpack and compile everything; the exit code is 0 only if nothing is missing."""
    try:
        for make in (jdk.jdk, dotnet.dotnet, javatools.pmd, javatools.checkstyle):
            print(make())
    except BenchError as error:
        print(f"{error.problem}; {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
