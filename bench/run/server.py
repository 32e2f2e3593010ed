"""A process that imports the heavy libraries once and forks one process per stage.

``multiprocessing``'s fork server would do, but for three things: it runs the caller's
``__main__`` in every child, it keeps no account of CPU time, and what a killed stage had
started outlives it. This one reaps with ``wait4``, and since it adopts orphans it ends
whatever a stage leaves behind; when its runner is gone it ends everything and itself.

It speaks JSON over a packet socket: ``ready``, ``exit`` and what the stages emit
(``progress``, ``disk``) go up; tasks and signals for them come down.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from bench.measure import descendants, tree_rss_bytes
from bench.run import software
from bench.run.child import TASK, run_stage

MESSAGE_BYTES = 1 << 17
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def connect(path: str, modules: Sequence[str]) -> NoReturn:
    """Serve the runner that listens at ``path``, as the first process of a container."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.connect(path)
    main(control.detach(), modules)


def main(descriptor: int, modules: Sequence[str]) -> NoReturn:
    """Serve the runner at the other end of a socket until it closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's to handle
    if os.getpid() != 1:
        # So is SIGTERM, which schedulers send to every process of a job: the stages are to end
        # in their own time, and not with this one.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # while it loads, it cannot see its runner go
    control = socket.socket(fileno=descriptor)
    gc.disable()  # a quarter of loading would be looking for garbage among what stays
    absent = [name for name in modules if not _imported(name)]
    check_cuda()
    software.versions()  # looked up once: every stage's record tells them
    gc.collect()
    gc.freeze()  # what is loaded stays: no stage looks through it again, nor copies its pages
    gc.enable()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    ready = {
        "event": "ready",
        "absent": absent,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "rss_bytes": tree_rss_bytes(os.getpid()),
        "threads": len(os.listdir("/proc/self/task")),  # noqa: PTH208 - a count
    }
    _prctl(_PR_SET_PDEATHSIG, 0)
    control.send(json.dumps(ready).encode())
    _Server(control).serve()
    os._exit(0)


def check_cuda() -> None:
    """End this process, with a line that says why, if its children could not use CUDA.

    A process that has initialised CUDA cannot share it with those that it forks: each of them
    would fail at its first operation on a GPU, after it has loaded its model.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None and (cuda.is_initialized() or cuda._is_in_bad_fork()):
        raise SystemExit(
            "CUDA was initialised before the stages were forked, so none of them could use a GPU: "
            "take what did it out of PRELOAD, or hide the GPUs from this process"
        )


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._stages: dict[int, str] = {}
        #: Descriptors that came with a message: held as long as this process and its stages live.
        self._held: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        # Any SIGCHLD makes this socket readable, so that one select waits for everything.
        self._bell, wakeup = socket.socketpair()
        for end in (self._bell, wakeup):
            end.setblocking(False)
        self._wakeup = wakeup
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup.fileno())
        self._selector.register(self._bell, selectors.EVENT_READ)

    def serve(self) -> None:
        """Fork, signal and reap until the runner is gone; then leave nothing behind."""
        while True:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._bell in ready:
                with contextlib.suppress(BlockingIOError):
                    self._bell.recv(4096)
                self._reap()
            if self._control in ready and not self._receive():
                break
        _end_all(())
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()

    def _receive(self) -> bool:
        """Handle one message; False once the runner has closed its end."""
        try:
            packet, handed, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        except ConnectionResetError:
            return False
        self._held += handed
        if not packet:
            return False
        message = json.loads(packet)
        if "signal" in message:
            for pid, stage in self._stages.items():
                if stage == message["id"]:
                    os.kill(pid, message["signal"])
        else:
            self._fork(packet)
        return True

    def _fork(self, packet: bytes) -> None:
        check_cuda()
        task = TASK.validate_json(packet)
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._stages[pid] = task.job.id
            return
        # From here on this is the stage's process; it leaves through os._exit alone.
        status = 1
        try:
            os.setsid()
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)
            if os.getppid() == parent:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                self._selector.close()
                self._bell.close()
                self._wakeup.close()
                run_stage(task, self._emit)
                status = 0
        finally:
            os._exit(status)

    def _emit(self, message: Mapping[str, Any], wait: bool) -> None:
        flags = 0 if wait else socket.MSG_DONTWAIT
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._control.send(json.dumps(message).encode(), flags)

    def _reap(self) -> None:
        """Report the stages that have ended, once nothing of theirs is alive."""
        ended = []
        with contextlib.suppress(ChildProcessError):
            while (found := os.wait4(-1, os.WNOHANG))[0]:
                ended.append(found)
        for pid, status, usage in ended:
            stage = self._stages.pop(pid, None)
            if stage is None:
                continue  # an orphan that was adopted
            _end_all(self._stages)
            self._emit(
                {
                    "event": "exit",
                    "id": stage,
                    "code": os.waitstatus_to_exitcode(status),
                    "cpu_s": usage.ru_utime + usage.ru_stime,
                    "peak_rss_bytes": usage.ru_maxrss * 1024,
                },
                True,
            )


def _end_all(spared: Mapping[int, str] | tuple[()]) -> None:
    """Kill every process below this one, save the spared ones and theirs.

    Children of the killed are adopted by this process, so it looks until none is left.
    """
    while True:
        below = descendants(os.getpid())
        safe = set(spared)
        for pid, parent in below:  # parents come first
            if parent in safe:
                safe.add(pid)
        doomed = [pid for pid, _ in below if pid not in safe and not _is_zombie(pid)]
        if not doomed:
            return
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _imported(name: str) -> bool:
    """Whether a module could be preloaded; a stage that needs it says what is wrong."""
    try:
        importlib.import_module(name)
    except (ImportError, OSError, RuntimeError, AttributeError):
        return False
    return True


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
