"""The judge's answers, kept where every later run finds them: nothing is paid for twice.

One file per judge, one JSON line per answer. Stages append in batches, each synced before
the next is asked for, so that a killed one loses a batch at most. Whoever asked first is
right: of two answers to one question only the first counts.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from bench.data import readers
from bench.errors import DataError
from bench.grid.store import writing


class Answers:
    """The answers in a file, by the SHA-256 of their question."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0
        self._known: dict[str, str] = {}
        if os.path.lexists(path):
            self._catch_up(readers.read_bytes(path, hint="remove it, and the judge is asked again"))

    def __contains__(self, question: str) -> bool:
        return question in self._known

    def get(self, question: str) -> str | None:
        """The answer to a question, None where there is none."""
        return self._known.get(question)

    def add(self, answers: Mapping[str, str]) -> None:
        """Append answers to questions that nobody has answered meanwhile.

        Raises:
            DiskError: the file cannot be written.
        """
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(self._read_bytes)
                torn = self._catch_up(file.read())
                new = {key: text for key, text in answers.items() if key not in self._known}
                lines = "".join(
                    json.dumps({"question": key, "answer": text}) + "\n"
                    for key, text in new.items()
                )
                file.write(b"\n" * torn + lines.encode())
                file.flush()
                os.fsync(file.fileno())
                self._known |= new
                self._read_bytes = file.tell()

    def _catch_up(self, content: bytes) -> bool:
        """Take in what was appended; True if its last line has no end (a writer was killed)."""
        whole, end, torn = content.rpartition(b"\n")
        for line in whole.splitlines():
            try:
                entry = readers.parse_json(line, str(self._path))
                if isinstance(entry["answer"], str):
                    self._known.setdefault(entry["question"], entry["answer"])
            except (DataError, KeyError, TypeError):
                continue  # what a killed writer left of a line
        self._read_bytes += len(whole) + len(end)
        return bool(torn)
