"""Where the commands write: results to standard output, what went wrong to standard error."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class Display:
    """Progress bars that are drawn as long as their ``with`` block lasts."""

    _live: Progress

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
