"""Stages as processes of this machine, forked from servers (``bench.run.server``).

Loading torch, transformers, PEFT and bitsandbytes takes seconds of CPU time; a grid has
dozens of stages. So one server loads them for all stages of the CPU: a stage's process
starts in milliseconds, and no stage can leave memory, threads or state to another.

Importing bitsandbytes initialises CUDA, and CUDA does not survive a fork. So a stage that has
a GPU gets a server of its own, which loads nothing before it forks and ends with the stage.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
from bench.run.slots import Slot

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
_ALLOCATOR = "expandable_segments:True"  # micro-batches of many lengths fragment the rest
#: What the process of a stage with a GPU needs beside it.
_GPU_ENVIRONMENT: Mapping[str, str] = {
    "PYTORCH_CUDA_ALLOC_CONF": _ALLOCATOR,
    "PYTORCH_ALLOC_CONF": _ALLOCATOR,  # its name in newer versions of torch
    # torch 2.13 may take Triton for outer products, and that wants a compiler (pytorch#196977).
    "TORCH_DISABLE_NATIVE_JIT": "1",
    # Nothing forks after the tokenizer's threads have started.
    "TOKENIZERS_PARALLELISM": "true",
}

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


def environment(slot: Slot, visible_devices: str | None = None) -> dict[str, str]:
    """What a stage's process has in its environment, for the slot that it has.

    ``visible_devices`` says how the slot's GPUs are numbered where it runs, if not as here.
    """
    if visible_devices is None:
        visible_devices = slot.visible_devices
    return {
        **ENVIRONMENT,
        **dict.fromkeys(_THREADS, str(slot.threads)),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as nvidia-smi counts
        "CUDA_VISIBLE_DEVICES": visible_devices,
        **({**_GPU_ENVIRONMENT, "RAYON_NUM_THREADS": str(slot.threads)} if slot.gpus else {}),
    }


@dataclasses.dataclass(slots=True)
class _Server:
    """A server's process and the socket to it; ``ready`` once it has loaded its modules."""

    process: subprocess.Popen[bytes]
    link: Link
    said: Any
    ready: bool = False

    def close(self) -> None:
        """End it: it ends its stages first."""
        self.link.close()
        if not self.ready:
            self.process.kill()  # it is still loading
        self.process.wait()
        self.said.close()


class Local:
    """Starts stages in processes forked from servers, which start when they are first needed.

    ``preload`` names the modules that the server of the CPU's stages imports (absent ones are
    left to the stages that need them).
    """

    def __init__(self, preload: Sequence[str] = _EVERYTHING) -> None:
        #: What loading took: ``cpu_s``, ``rss_bytes``, ``threads``, ``absent``.
        self.ready: Mapping[str, Any] | None = None
        self._preload = tuple(preload)
        #: By the id of the stage on a GPU that it serves, or by its stages' number of threads.
        self._servers: dict[str | int, _Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self._servers):
            self._servers.pop(name).close()

    def warm(self, _stage: str, _work: Path) -> bool:
        """No stage would start sooner than another: yes."""
        return True

    def start(self, task: Task, lock_fd: int | None) -> None:
        """Start a stage. ``lock_fd`` stays open in its process for as long as that lives.

        Raises:
            MachineError: the server is gone.
        """
        slot = task.job.slot
        name = task.job.id if slot.gpus else slot.threads
        if name not in self._servers:
            preload = () if slot.gpus else self._preload
            self._servers[name] = _launch(environment(slot), preload, lock_fd)
        server = self._servers[name]
        with _told(server):
            server.link.start(task)

    def poll(self, timeout_s: float) -> Mapping[str, Any] | None:
        """The next message of a server or of a stage; None when none comes in time.

        Raises:
            MachineError: a server is gone.
        """
        if not self._servers:
            time.sleep(timeout_s)
            return None
        poll = select.poll()
        by_descriptor = {one.link.fileno(): name for name, one in self._servers.items()}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        found = poll.poll(timeout_s * 1000)
        return self._receive(by_descriptor[found[0][0]]) if found else None

    def _receive(self, name: str | int) -> Mapping[str, Any]:
        server = self._servers[name]
        with _told(server):
            message = server.link.receive()
        if message["event"] == "ready":
            server.ready = True
            self.ready = message
        elif message["event"] == "exit" and message["id"] == name:
            self._servers.pop(name).close()  # the stage that it was started for has ended
        return message

    def stop(self, stage: str, how: signal.Signals) -> None:
        """Send a signal to a stage's process; what it started ends with it."""
        for server in self._servers.values():
            with _told(server):
                server.link.stop(stage, how)


def _launch(variables: Mapping[str, str], preload: Sequence[str], lock_fd: int | None) -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = [str(Path(entry).resolve()) for entry in sys.path]
    code = _SERVE.format(path=path, descriptor=theirs.fileno(), modules=tuple(preload))
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        pass_fds=(theirs.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
    )
    theirs.close()
    return _Server(process, Link(ours, lock_fd), said)


@contextlib.contextmanager
def _told(server: _Server) -> Iterator[None]:
    """Turn a closed link into the error for a server that ended by itself."""
    try:
        yield
    except LinkClosed:
        raise _gone(server) from None


def _gone(server: _Server) -> MachineError:
    """The error for a server that ended by itself, with the last it said."""
    code = server.process.wait()
    server.said.seek(0)
    lines = server.said.read().decode(errors="replace").strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    return MachineError(
        f"the process that starts the stages ended with code {code}{last}",
        hint="look for a lack of memory, and give the same command again",
    )
