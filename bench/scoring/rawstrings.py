"""C# with raw strings that the grammar cannot read written as verbatim ones, as long.

The scanner of the pinned grammar (tree-sitter-c-sharp 0.21.0, which the published CodeBLEU
needs) never ends where a hole stands right before the end of an interpolated raw string, and
takes four quotes for three and one. What is in the holes stays; of what is between them only
the line breaks matter to any reader of the tree.
"""

from __future__ import annotations

import re

#: What hides a dollar and quotes, by how it begins; and the beginning that is looked for.
_OPENER = re.compile(
    rb'(?P<raw>\$++"{3,}+|"{4,}+)|(?P<quotes>"{3})|(?P<verbatim>(?:@\$?|\$@)")|(?P<text>["\'])'
    rb"|(?P<line>//)|(?P<comment>/\*)"
)
_IN_HOLE = re.compile(rb"(?P<brace>[{}])|" + _OPENER.pattern)
_VERBATIM_END = re.compile(rb'(?:[^"]|"")*+"')
_TEXT_END = {
    b'"': re.compile(rb'(?:\\.|[^"\\\n])*+"'),
    b"'": re.compile(rb"(?:\\.|[^'\\\n]){1,12}+'"),
}
_RUN = re.compile(rb'"+|\{+|\}+')
_LONG = re.compile(rb'"{4,}+')
_OPENING = re.compile(rb'\$+(?="{3})')
#: How deep strings may stand in each other's holes.
_DEEPEST = 20


def readable(content: bytes) -> bytes:
    """C# in UTF-8 that the grammar reads to the end; places in it stay what they are."""
    if b'$"""' not in content and b'""""' not in content:
        return content
    made = bytearray(content)
    place = 0
    while found := _OPENER.search(content, place):
        end = _end(made, content, found, 0)
        if end is None:
            made[place:] = _LONG.sub(lambda run: b'"""'.ljust(len(run[0])), made[place:])
            break
        place = end
    # What is left is in a comment or another string, or behind one that is never closed.
    return _OPENING.sub(lambda found: b" " * len(found[0]), bytes(made))


def _end(made: bytearray, content: bytes, found: re.Match[bytes], depth: int) -> int | None:
    """Where what begins ends; None for nowhere. Interpolated raw strings are rewritten."""
    place = found.end()
    if found["raw"]:
        return _string(made, content, found, depth) if depth < _DEEPEST else None
    if found["text"]:
        closed = _TEXT_END[found[0]].match(content, place)
        return closed.end() if closed else place
    if found["verbatim"]:
        closed = _VERBATIM_END.match(content, place)
        return closed.end() if closed else None
    closing = {b"//": b"\n", b"/*": b"*/"}.get(found[0], found[0])
    at = content.find(closing, place)
    return at + len(closing) if at >= 0 else None


def _string(made: bytearray, content: bytes, head: re.Match[bytes], depth: int) -> int | None:
    """Rewrite a string from its head on; where it ends, None (and nothing done) if nowhere."""
    opening = head[0]
    dollars, quotes = opening.count(b"$"), opening.count(b'"')
    changes = [(head.start(), (b'$@"' if dollars else b'@"').ljust(len(opening)))]
    place = head.end()
    while run := _RUN.search(content, place):
        kind, length, place = run[0][:1], len(run[0]), run.end()
        if kind == b'"' and length >= quotes:
            changes.append((run.start(), b'"'.rjust(length)))
            for start, text in changes:
                made[start : start + len(text)] = text
            return place
        if kind == b"{" and length >= dollars > 0:
            end = _hole(made, content, place, dollars, depth)
            if end is None:
                return None
            changes.append((run.start(), b"{".rjust(length)))
            changes.append((end, b"}".ljust(dollars)))
            place = end + dollars
        else:
            changes.append((run.start(), b" " * length))
    return None


def _hole(made: bytearray, content: bytes, place: int, closing: int, depth: int) -> int | None:
    """Where a hole's closing braces begin; strings within are rewritten. None for nowhere."""
    nested = 0
    while found := _IN_HOLE.search(content, place):
        if found["brace"] == b"}" and not nested:
            closed = content.startswith(b"}" * closing, found.start())
            return found.start() if closed else None
        nested += {b"{": 1, b"}": -1}.get(found[0], 0)
        end = found.end() if found["brace"] else _end(made, content, found, depth + 1)
        if end is None:
            return None
        place = end
    return None
