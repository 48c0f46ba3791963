"""Takes away from this process what opening a model file does not need: network, other programs, other files.

By means that need no privileges and that pods of the profile RuntimeDefault have: `no_new_privs`, a filter of system
calls (seccomp), and rules on files (Landlock, from Linux 5.13 on). None of it can be undone, and all threads and
children inherit it. What the kernel does not offer is left out, and said so: no part stands in for another.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_libc: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SIGKILL: Final = 9
_SECCOMP_MODE_FILTER: Final = 2

# linux/filter.h and linux/seccomp.h: load a word, jump if equal, if greater or equal, if any bit is set, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # Offsets in struct seccomp_data; of arguments the lower half.
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD: Final = 0x10000
_X32: Final = 0x40000000  # System calls of x86's third ABI have other numbers, and would pass every rule.


@dataclass(frozen=True, slots=True)
class _Machine:
    """What system calls are called on one kind of processor."""

    architecture: int
    clone: int
    clone3: int
    tgkill: int
    denied: tuple[int, ...]


_MACHINES: Final = {
    # socket connect accept sendto sendmsg bind listen fork vfork execve kill ptrace tkill accept4 mount umount2 chroot
    # setns unshare bpf userfaultfd perf_event_open io_uring_setup process_vm_readv process_vm_writev execveat
    # open_by_handle_at pidfd_getfd pidfd_open keyctl add_key request_key init_module finit_module kexec_load sendmmsg
    # pidfd_send_signal
    "x86_64": _Machine(
        0xC000003E, 56, 435, 234,
        (41, 42, 43, 44, 46, 49, 50, 57, 58, 59, 62, 101, 200, 288, 165, 166, 161, 308, 272, 321, 323, 298, 425, 310,
         311, 322, 304, 438, 434, 250, 248, 249, 175, 313, 246, 307, 424),
    ),
    # The same, but for fork and vfork, which are not there.
    "aarch64": _Machine(
        0xC00000B7, 220, 435, 131,
        (198, 203, 202, 206, 211, 200, 201, 221, 129, 117, 130, 242, 40, 39, 51, 268, 97, 280, 282, 241, 425, 270,
         271, 281, 265, 438, 434, 219, 217, 218, 105, 273, 104, 269, 424),
    ),
}  # fmt: skip


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when the one that started it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # It ended before.
        os._exit(1)


def confine(readable: Iterable[Path], writable: Iterable[Path]) -> list[str]:
    """Confine this process, and return what is in force. To be called before the first thread starts.

    `readable` and `writable` are the only files and folders that stay, where the kernel has Landlock.
    """
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return []
    in_force = ["no_new_privs"]
    if _allow_files(readable, writable):
        in_force.append("landlock")
    if _filter_system_calls():
        in_force.append("seccomp")
    return in_force


def _filter_system_calls() -> bool:
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    program = _program(machine, os.getpid())
    instructions = ctypes.create_string_buffer(program)
    # struct sock_fprog: the number of instructions, padding, their address.
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions)))
    return bool(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0) == 0)


def _program(machine: _Machine, pid: int) -> bytes:
    """Write the filter. What is denied fails with EPERM, as if a right were missing: libraries know that."""
    fail = (_RETURN, 0, 0, _FAIL | _EPERM)
    allow = (_RETURN, 0, 0, _ALLOW)
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        fail,
    ]
    for number in machine.denied:
        steps += [(_EQUAL, 0, 1, number), fail]
    # The C library tries the older call then, whose flags a filter can read.
    steps += [(_EQUAL, 0, 1, machine.clone3), (_RETURN, 0, 0, _FAIL | _ENOSYS)]
    # Threads, but no processes.
    steps += [(_EQUAL, 0, 4, machine.clone), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_ANY_BIT, 0, 1, _CLONE_THREAD)]
    steps += [allow, fail]
    # `abort` sends this process a signal; others get none.
    steps += [(_EQUAL, 0, 4, machine.tgkill), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 0, 1, pid), allow, fail]
    steps.append(allow)
    return b"".join(struct.pack("HBBI", *step) for step in steps)


# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14
_RIGHTS_OF_FILES: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""By version, how many rights there are; later versions add a sixteenth, for devices."""
_TCP: Final = 3
_VERSION_OF_TCP: Final = 4


def _allow_files(readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    version = _libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    files = (1 << _RIGHTS_OF_FILES.get(version, 16)) - 1
    attributes = struct.pack("QQ", files, _TCP) if version >= _VERSION_OF_TCP else struct.pack("Q", files)
    rules = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for paths, rights in ((readable, _READ), (writable, files & ~_EXECUTE)):
            for path in paths:
                _allow(rules, path, rights)
        return bool(_libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # What is not there needs no rule.
    try:
        rights = rights if path.is_dir() else rights & _ON_FILES
        rule = struct.pack("=Qi", rights, place)
        if _libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(place)
