"""The system-call filter of the jail, as a classic BPF program for ``bwrap --seccomp``.

Namespaces, capabilities and limits already hold the sample; this closes what they leave
open: a user namespace of the sample's own (with its own mounts), the kernel's key ring,
tracing, memory that no process need map (so that no look would find it) and the like.
Numbers: the kernel's ``asm/unistd_64.h`` and ``asm-generic/unistd.h``; program layout:
``linux/seccomp.h`` and ``linux/filter.h``.
"""

from __future__ import annotations

import errno
import platform
import struct

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_X32_CALLS = 0x40000000
_CLONE_NEWUSER = 0x10000000

#: machine -> (audit architecture, clone, clone3, denied calls). Denied are unshare, setns,
#: mount, umount2, pivot_root, add_key, request_key, keyctl, bpf, perf_event_open, ptrace,
#: userfaultfd, io_uring_setup, process_vm_readv, process_vm_writev; then memfd_create,
#: memfd_secret, shmget, msgget, mq_open, which lend memory outside of any process.
_MACHINES: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        56,
        435,
        (
            *(272, 308, 165, 166, 155, 248, 249, 250, 321, 298, 101, 323, 425, 310, 311),
            *(319, 447, 29, 68, 240),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        220,
        435,
        (
            *(97, 268, 40, 39, 41, 217, 218, 219, 280, 241, 117, 282, 425, 270, 271),
            *(279, 447, 194, 186, 180),
        ),
    ),
}


def program(machine: str | None = None) -> bytes | None:
    """The filter for a machine (this one by default); None where its calls are unknown.

    ``clone3`` answers "not implemented", so that the C library falls back to ``clone``,
    whose flags a filter can read.
    """
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    architecture, clone, clone3, denied = known

    def step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("=HBBI", code, then, otherwise, value)

    refuse = step(_RETURN, _ERRNO | errno.EPERM)
    steps = [
        step(_LOAD, _ARCHITECTURE_AT),
        step(_EQUAL, architecture, then=1),
        step(_RETURN, _KILL),
        step(_LOAD, _NUMBER_AT),
        step(_AT_LEAST, _X32_CALLS, otherwise=1),
        refuse,
        step(_EQUAL, clone3, otherwise=1),
        step(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    for call in denied:
        steps += [step(_EQUAL, call, otherwise=1), refuse]
    steps += [
        step(_EQUAL, clone, otherwise=3),
        step(_LOAD, _FIRST_ARGUMENT_AT),
        step(_ANY_BIT, _CLONE_NEWUSER, otherwise=1),
        refuse,
        step(_RETURN, _ALLOW),
    ]
    return b"".join(steps)
