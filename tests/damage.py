"""Ways in which a file can be damaged, and ways in which its content can be wrong."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: What a reader may take for one input.
LIMIT_S = 5.0

LONG_NUMBER = "9" * 5000
DEEP = "[" * 100_000
NESTED = '{"a":' * 5000 + "1" + "}" * 5000

#: Contents that say nothing, or something else, in place of any file's.
CONTENTS: Mapping[str, bytes] = {
    "empty": b"",
    "a line feed": b"\n",
    "spaces": b"   \r\n\t ",
    "a NUL": b"\0",
    "many NULs": bytes(4096),
    "a byte order mark": b"\xef\xbb\xbf",
    "half a mark": b"\xef\xbb",
    "UTF-16's mark": b"\xff\xfe",
    "UTF-16": '{"a": "ä"}\n'.encode("utf-16"),
    "UTF-32": '{"a": 1}\n'.encode("utf-32"),
    "Latin-1": '{"a": "ä"}\n'.encode("latin-1"),
    "null": b"null",
    "true": b"true\n",
    "a number": b"7\n",
    "minus": b"-",
    "a text": b'"text"\n',
    "half a text": b'"text',
    "an empty list": b"[]\n",
    "an empty object": b"{}\n",
    "a list of objects": b"[{}]\n",
    "an object of an object": b'{"a": {"b": {}}}\n',
    "a brace": b"{",
    "nested without end": DEEP.encode(),
    "objects without end": b'{"a":' * 100_000,
    "nested": NESTED.encode(),
    "a long number": LONG_NUMBER.encode(),
    "a list of a long number": f"[{LONG_NUMBER}]".encode(),
    "a huge number": b"1e999",
    "NaN": b"NaN",
    "infinity": b"-Infinity\n",
    "half a character": b'{"a": "\\ud800"}\n',
    "an escape of the terminal": b"\x1b[2J\x1b]0;x\x07",
    "a page": b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
    "a merge": b"<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> other\n",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + b"x" * 20,
    "zip": b"PK\x03\x04" + b"\0" * 26,
    "a program": b"\x7fELF\x02\x01\x01" + bytes(57),
    "noise": random.Random(7).randbytes(2000),
    "commas": b"," * 300 + b"\n" + b"," * 7,
    "a quote": b'id,value\n"a,1\n',
    "tabs": b"\t\t\n\t\n",
}


def _inserted(content: bytes, what: bytes, share: float = 0.5) -> bytes:
    at = int(len(content) * share)
    return content[:at] + what + content[at:]


def _without(content: bytes, share: float) -> bytes:
    lines = content.split(b"\n")
    del lines[int((len(lines) - 1) * share)]
    return b"\n".join(lines)


def _flipped(content: bytes, share: float, bit: int = 0) -> bytes:
    at = min(len(content) - 1, int(len(content) * share))
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def _again(content: bytes, encoding: str) -> bytes:
    return content.decode("utf-8", "replace").encode(encoding, "replace")


#: What happens to a file on its way: on a disk, in an editor, in a copy.
CHANGES: Mapping[str, Callable[[bytes], bytes]] = {
    "a quarter": lambda old: old[: len(old) // 4],
    "half": lambda old: old[: len(old) // 2],
    "all but a byte": lambda old: old[:-1],
    "all but the first byte": lambda old: old[1:],
    "a hole": lambda old: old[: len(old) // 3] + bytes(len(old) // 3) + old[len(old) * 2 // 3 :],
    "the end lost to NULs": lambda old: old[: len(old) // 2] + bytes(len(old) // 2),
    "a NUL inside": lambda old: _inserted(old, b"\0"),
    "no UTF-8 inside": lambda old: _inserted(old, b"\xff\xc3"),
    "a mark inside": lambda old: _inserted(old, b"\xef\xbb\xbf"),
    "marked": lambda old: b"\xef\xbb\xbf" + old,
    "as UTF-16": lambda old: _again(old, "utf-16"),
    "as UTF-16 without a mark": lambda old: _again(old, "utf-16-le"),
    "with CRLF": lambda old: old.replace(b"\n", b"\r\n"),
    "with CR": lambda old: old.replace(b"\n", b"\r"),
    "twice": lambda old: old + old,
    "with a line more": lambda old: old + b"x\n",
    "with NULs behind": lambda old: old + bytes(512),
    "a bit at the start": lambda old: _flipped(old, 0.0, 2),
    "a bit in the middle": lambda old: _flipped(old, 0.5),
    "a bit at three quarters": lambda old: _flipped(old, 0.75, 5),
    "a bit near the end": lambda old: _flipped(old, 0.97, 1),
    "the first line lost": lambda old: _without(old, 0.0),
    "a line lost": lambda old: _without(old, 0.5),
    "the last line lost": lambda old: _without(old, 0.99),
    "lines backwards": lambda old: b"\n".join(old.split(b"\n")[::-1]),
    "digits for letters": lambda old: old.replace(b"e", b"3"),
    "other quotes": lambda old: old.replace(b'"', "”".encode()),
    "in capitals": lambda old: old.upper(),
    "indented": lambda old: b"    " + old.replace(b"\n", b"\n    "),
}


def remove(path: Path) -> None:
    """Take away what is there, whatever it is."""
    if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114 - any link
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    os.mknod(path, 0o600 | stat.S_IFSOCK)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


#: What may stand in a file's place.
PLACES: Mapping[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": _pipe,
    "a socket": _socket,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "an empty device": lambda path: path.symlink_to("/dev/null"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a loop": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("not/there"),
    "a link to a pipe": lambda path: (_pipe(path.with_name("pipe")), path.symlink_to("pipe")),
    "a link to its folder": lambda path: path.symlink_to("."),
    "a link to a name too long": lambda path: path.symlink_to("x" * 300),
    "a hole of a terabyte": _sparse,
    "a system's file": lambda path: path.symlink_to("/proc/self/environ"),
}

#: Of these no reader can make anything but an error.
UNREADABLE = frozenset(
    name for name in PLACES if name not in ("an empty device", "a system's file")
) | {"UTF-16's mark", "UTF-16", "many NULs", "nested without end", "noise", "a NUL"}

#: Values in the place of a right one.
VALUES: Mapping[str, str] = {
    "null": "null",
    "true": "true",
    "minus one": "-1",
    "a fraction": "0.5",
    "a text": '"x"',
    "an empty text": '""',
    "a list": "[]",
    "a list of lists": "[[[]]]",
    "an object": "{}",
    "an object of an object": '{"a": {"a": []}}',
    "NaN": "NaN",
    "infinity": "Infinity",
    "a huge number": "1e999",
    "a long number": LONG_NUMBER,
    "a big number": str(2**70),
    "half a character": '"\\ud800"',
    "a NUL": '"\\u0000"',
    "a long text": json.dumps("x" * 5000),
    "a path": '"../../../etc/passwd"',
}
_MARK = "\N{OBJECT REPLACEMENT CHARACTER}"


def of_json(text: str, most: int) -> Iterator[tuple[str, str]]:
    """A JSON text with single values replaced, lost, renamed and doubled; ``most`` places."""
    places = list(_places(json.loads(text)))
    step = max(1, len(places) // most)
    for place in places[::step][:most]:
        for name, value in VALUES.items():
            changed = json.dumps(_with(json.loads(text), place, _MARK), ensure_ascii=False)
            yield f"{_shown(place)} is {name}", changed.replace(f'"{_MARK}"', value)
        for name, how in (("lost", _lose), ("renamed", _rename)):
            content = json.loads(text)
            if how(content, place):
                yield f"{_shown(place)} {name}", json.dumps(content)
        if isinstance(place[-1], str):
            content = json.dumps(_with(json.loads(text), (*place[:-1], _MARK), 0))
            escaped = json.dumps(_MARK)
            yield f"{_shown(place)} twice", content.replace(escaped, json.dumps(place[-1]), 1)


def of_lines(text: str, most: int) -> Iterator[tuple[str, str]]:
    """JSON Lines with a line in the middle damaged in the ways of ``of_json``."""
    lines = text.splitlines()
    at = len(lines) // 2
    for how, changed in of_json(lines[at], most):
        yield how, "\n".join([*lines[:at], changed, *lines[at + 1 :], ""])


def of_toml(text: str, most: int) -> Iterator[tuple[str, str]]:
    """A TOML text with the values of single lines replaced, lost and doubled."""
    lines = text.splitlines()
    places = [
        at for at, line in enumerate(lines) if re.match(r"[\w.\"-]+ *= *[^\[{\s\"'].*$", line)
    ]
    places += [at for at, line in enumerate(lines) if re.match(r"[\w.-]+ *= *\".*\"$", line)]
    step = max(1, len(places) // most)
    for at in places[::step][:most]:
        name, _, _ = lines[at].partition("=")
        for told, value in VALUES.items():
            changed = {"NaN": "nan", "Infinity": "inf", "null": "none"}.get(value, value)
            changed = "{a = {a = []}}" if changed.startswith('{"a"') else changed
            line = f"{name}= {changed}"
            yield f"{name.strip()} is {told}", "\n".join([*lines[:at], line, *lines[at + 1 :]])
        yield f"{name.strip()} lost", "\n".join(lines[:at] + lines[at + 1 :])
        yield f"{name.strip()} twice", "\n".join([*lines[:at], lines[at], *lines[at:]])
        renamed = f"x{lines[at]}"
        yield f"{name.strip()} renamed", "\n".join([*lines[:at], renamed, *lines[at + 1 :]])


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = iter(list(enumerate(value))[:2])
    for name, one in inner:
        yield (*above, name)
        yield from _places(one, (*above, name))


def _inside(content: Any, place: tuple[Any, ...]) -> Any:
    for name in place[:-1]:
        content = content[name]
    return content


def _with(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    _inside(content, place)[place[-1]] = value
    return content


def _lose(content: Any, place: tuple[Any, ...]) -> bool:
    del _inside(content, place)[place[-1]]
    return True


def _rename(content: Any, place: tuple[Any, ...]) -> bool:
    holder = _inside(content, place)
    if not isinstance(holder, dict):
        return False
    holder[f"{place[-1]}2"] = holder.pop(place[-1])
    return True


def _shown(place: tuple[Any, ...]) -> str:
    return ".".join(map(str, place))


@contextlib.contextmanager
def in_time(seconds: float = LIMIT_S) -> Iterator[None]:
    """Raise TimeoutError in what takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def damaged(path: Path) -> Iterator[str]:
    """Damage a file in each way in turn; it is whole again behind the last."""
    whole = path.read_bytes()
    for name, content in CONTENTS.items():
        path.write_bytes(content)
        yield name
    for name, change in CHANGES.items():
        path.write_bytes(change(whole))
        yield name
    for name, put in PLACES.items():
        remove(path)
        put(path)
        yield name
        remove(path)
        path.with_name("pipe").unlink(missing_ok=True)
    path.write_bytes(whole)
