"""Stages as processes of this machine, forked from one server with the libraries loaded.

Loading torch, transformers, PEFT and bitsandbytes takes seconds of CPU time; a grid has
dozens of stages. The server (``bench.run.server``) loads them once, a stage's process
starts in milliseconds, and no stage can leave memory, threads or state to another.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.errors import MachineError
from bench.run.child import Task
from bench.run.link import Link, LinkClosed

#: What every stage's process needs before its first import (see the design's "ML stack").
ENVIRONMENT: Mapping[str, str] = {
    # A spinning OpenMP thread on a busy core slows 4-bit dequantisation 300-fold.
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTHONHASHSEED": "0",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # deterministic cuBLAS
    "TOKENIZERS_PARALLELISM": "false",
    # The server forks, so no library may start a thread in it; Arrow's allocator would.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

#: What the stages of each image import. transformers loads lazily, so its large parts are named.
PRELOAD: Mapping[str, tuple[str, ...]] = {
    "run": (
        "torch",
        "transformers.trainer",
        "transformers.models.qwen2.modeling_qwen2",
        "peft",
        "bitsandbytes",
        "bench.run.child",
        "bench.train.bases",
        "bench.train.fit",
        "bench.train.methods",
        "bench.generate.decode",
        "bench.data.corpora",
        "bench.data.problems",
        "bench.data.rows",
    ),
    "score": (
        "evaluate",
        "datasets",
        "pandas",
        "nltk.tokenize.destructive",
        "nltk.translate.meteor_score",
        "rouge_score.rouge_scorer",
        "sacrebleu",
        "codebleu.dataflow_match",
        "codebleu.weighted_ngram_match",
        "lizard",
        "tree_sitter_c_sharp",
        "tree_sitter_java",
        "tree_sitter_python",
        "bench.run.child",
        "bench.data.problems",
        "bench.scoring.execution",
        "bench.scoring.score",
    ),
}
#: And those of all stages: here one server starts them all.
_EVERYTHING = tuple(dict.fromkeys(itertools.chain.from_iterable(PRELOAD.values())))

_SERVE = (
    "import sys; sys.path[:] = {path!r}; "
    "from bench.run.server import main; main({descriptor}, {modules!r})"
)


def environment(threads: int) -> dict[str, str]:
    """``ENVIRONMENT`` and the number of cores that a stage may use."""
    return {**ENVIRONMENT, **dict.fromkeys(_THREADS, str(threads))}


class Local:
    """Starts stages in processes forked from a server, which starts with the first one.

    ``threads`` is the number of cores for each stage; ``preload`` names the modules that
    the server imports (absent ones are left to the stages that need them).
    """

    def __init__(self, threads: int = 1, preload: Sequence[str] = _EVERYTHING) -> None:
        self.threads = threads
        #: What loading took: ``cpu_s``, ``rss_bytes``, ``threads``, ``absent``.
        self.ready: Mapping[str, Any] | None = None
        self._preload = tuple(preload)
        self._link: Link | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._link is not None and self._server is not None:
            self._link.close()  # the server ends its stages, then itself
            if self.ready is None:
                self._server.kill()  # it is still loading
            self._server.wait()
        self._said.close()

    def warm(self, _stage: str, _work: Path) -> bool:
        """Every stage starts from the same server: yes."""
        return True

    def start(self, task: Task, lock_fd: int | None) -> None:
        """Start a stage. ``lock_fd`` stays open in its process for as long as that lives.

        Raises:
            MachineError: the server is gone.
        """
        if self._link is None:
            self._link = self._launch(lock_fd)
        with self._told():
            self._link.start(task)

    def poll(self, timeout_s: float) -> Mapping[str, Any] | None:
        """The next message of the server or of a stage; None when none comes in time.

        Raises:
            MachineError: the server is gone.
        """
        if self._link is None:
            time.sleep(timeout_s)
            return None
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return None
        with self._told():
            message = self._link.receive()
            if message["event"] == "ready":
                self.ready = message
            return message

    def stop(self, stage: str, how: signal.Signals) -> None:
        """Send a signal to a stage's process; what it started ends with it."""
        if self._link is not None:
            with self._told():
                self._link.stop(stage, how)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn a closed link into the error for a server that ended by itself."""
        try:
            yield
        except LinkClosed:
            raise self._gone() from None

    def _launch(self, lock_fd: int | None) -> Link:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = [str(Path(entry).resolve()) for entry in sys.path]
        code = _SERVE.format(path=path, descriptor=theirs.fileno(), modules=self._preload)
        self._server = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **environment(self.threads)},
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            start_new_session=True,
        )
        theirs.close()
        return Link(ours, lock_fd)

    def _gone(self) -> MachineError:
        """The error for a server that ended by itself, with the last it said."""
        code = self._server.wait() if self._server else None
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        return MachineError(
            f"the process that starts the stages ended with code {code}{last}",
            hint="look for a lack of memory, and give the same command again",
        )
