"""Where the commands write: results to standard output, what went wrong to standard error."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress
from rich.segment import Segment

#: Columns of a terminal that somebody reads, and those of one that tells none.
_NARROWEST, _WIDEST, _USUAL = 20, 1000, 80


class _Console(Console):
    """A console on which no text moves the cursor, sets a colour or turns the writing round.

    A file's name, a line of a file or an argument may hold any character.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment("".join(map(_visible, segment.text)), segment.style)


def _visible(one: str) -> str:
    """A character, or the code of one that acts on a terminal instead of being shown."""
    if one.isprintable() or one in "\n\t" or unicodedata.category(one) in ("Zs", "Cs"):
        return one  # half a character, of a byte that is no text, is told by ``plain``
    return one.encode("unicode_escape").decode()


def _console(*, stderr: bool = False) -> Console:
    """A console as wide as its terminal, unless that is no width (``COLUMNS=0`` shows nothing)."""
    made = _Console(stderr=stderr, highlight=False)
    if not _NARROWEST <= made.width <= _WIDEST:
        made.width = _USUAL
    return made


out = _console()
err = _console(stderr=True)


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
