"""Changes to a text that are collected by their place and made at once."""

from __future__ import annotations


class Edits:
    """Replacements in a text, by places in its UTF-8; what they touch stays on its line."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._made: list[tuple[int, int, bytes]] = []

    def drop(self, start: int, end: int) -> None:
        """Blank a stretch, line breaks aside."""
        gone = self._content[start:end]
        self._made.append((start, end, b"\n" * gone.count(b"\n")))

    def put(self, start: int, end: int, text: str) -> None:
        """Set a text in the place of a stretch; at one place the earlier call stands first."""
        self._made.append((start, end, text.encode(errors="surrogatepass")))

    def text(self) -> str:
        """The text with its changes."""
        parts, place = [], 0
        for start, end, new in sorted(self._made, key=lambda made: made[:2]):
            parts += [self._content[place : max(place, start)], new]
            place = max(place, end)
        parts.append(self._content[place:])
        return b"".join(parts).decode(errors="surrogatepass")
