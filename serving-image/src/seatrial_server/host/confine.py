"""What a process that opens untrusted files can't do any more: a seccomp filter and limits that need no privilege.

No program can be started and no socket opened but a local one, no other process read. Threads are allowed: ONNX Runtime
makes some. A limit on processes (RLIMIT_NPROC) would count those of all pods of the node that run as the same user.
Where the kernel or the CPU is another, nothing is confined here; the pod's security context holds everywhere.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import socket
import struct

_FILE_BYTES = 8 * 1024**3
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS = {
    "x86_64": {
        "socket": 41,
        "clone": 56,
        "fork": 57,
        "vfork": 58,
        "execve": 59,
        "ptrace": 101,
        "execveat": 322,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "io_uring_setup": 425,
        "clone3": 435,
    },
    "aarch64": {
        "socket": 198,
        "clone": 220,
        "execve": 221,
        "ptrace": 117,
        "execveat": 281,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "io_uring_setup": 425,
        "clone3": 435,
    },
}
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_X32 = 0x40000000  # the same calls by other numbers
_CLONE_THREAD = 0x00010000
_SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 4, 22, 38
_FILTER_MODE = 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def hide() -> None:
    """Other processes of the same user can't read this one's memory and environment."""
    _prctl(_SET_DUMPABLE, 0)


def confine(*, sockets: bool) -> bool:
    """For the rest of this process's life; whether the kernel took the filter."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = _FILE_BYTES if hard == resource.RLIM_INFINITY else min(hard, _FILE_BYTES)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    machine = platform.machine()
    if machine not in _CALLS:
        return False
    code = program(machine, sockets=sockets)
    _prctl(_SET_NO_NEW_PRIVILEGES, 1)
    return _prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(_Program(len(code) // 8, code)))


def program(machine: str, *, sockets: bool) -> bytes:
    """The filter in the kernel's form (struct sock_filter)."""
    calls, refuse = _CALLS[machine], _ERROR | errno.EPERM
    parts = [
        *((_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, refuse)),
        *((_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, refuse)),
        # glibc makes threads by clone3, whose flags a filter can't see, and by clone where that is unknown
        *((_EQUAL, 0, 1, calls["clone3"]), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)),
    ]
    for name, number in calls.items():
        if name == "clone":
            parts += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_ANY_BIT, 0, 1, _CLONE_THREAD)]
            parts += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, refuse)]
        elif name == "socket":
            if not sockets:
                parts += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 0, 1, socket.AF_UNIX)]
                parts += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, refuse)]
        elif name != "clone3":
            parts += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    parts.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *part) for part in parts)


def _prctl(option: int, *arguments: object) -> bool:
    padded = [*arguments, 0, 0, 0][:4]
    wide = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in padded]
    return bool(ctypes.CDLL(None).prctl(ctypes.c_int(option), *wide) == 0)
