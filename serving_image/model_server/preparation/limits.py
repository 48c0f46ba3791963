"""How much a process that opens a foreign file may use, and how that is enforced."""

from __future__ import annotations

import resource
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

DEFAULT_SECONDS: Final = 600.0
"""A model of several gigabytes takes minutes on a slow disk; nothing that is none takes longer."""
_ADDRESS_SPACE_BYTES: Final = 8 * 2**30
"""Beyond what may be used: TensorFlow maps its 1 GB of code, and allocators reserve what they never touch."""
_OPEN_FILES: Final = 256
_MEMORY_SIGNS: Final = (
    "bad_alloc", "cannot allocate memory", "failed to map segment", "memoryerror", "out of memory",
    "unable to allocate",
)  # fmt: skip
_V2: Final = Path("/sys/fs/cgroup/memory.max")
_V1: Final = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
_MEMINFO: Final = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one process."""

    memory_bytes: int
    """Writable memory of its own. No file that it writes may be larger either: it was in memory before."""
    seconds: float = DEFAULT_SECONDS
    """By the wall clock."""
    cpu_seconds: int = 2 * int(DEFAULT_SECONDS)
    """Of all its threads together."""

    def as_dict(self) -> dict[str, float]:
        """For the process itself, which reads them with `Limits(**…)`."""
        return asdict(self)


def limits_here() -> Limits:
    """Say what this container may use: its memory limit, or what the machine has left."""
    return Limits(memory_bytes=memory_here())


def memory_here() -> int:
    """Count the bytes that this container may use (cgroups of version 1 and 2), or that the machine has left."""
    free = _free()
    for file in (_V2, _V1):
        try:
            limit = int(file.read_text())
        except (OSError, ValueError):  # No such version, or `max`.
            continue
        return min(limit, free)
    return free


def _free() -> int:
    for line in _MEMINFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 2**62


def apply(limits: Limits) -> None:
    """Hold this process to limits, for good.

    There is none on the number of processes: the kernel counts those of a user on the whole node, and the pods of all
    models have the same user. `confinement` forbids new ones instead.
    """
    data = limits.memory_bytes
    for kind, limit in (
        (resource.RLIMIT_DATA, data),
        (resource.RLIMIT_AS, data + _ADDRESS_SPACE_BYTES),
        (resource.RLIMIT_FSIZE, data),
        (resource.RLIMIT_CPU, limits.cpu_seconds + 1),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        # The signal of the first limit of time says what it was; that of the second just ends the process.
        soft = min(limits.cpu_seconds, value) if kind == resource.RLIMIT_CPU else value
        resource.setrlimit(kind, (soft, value))


def ran_out_of_memory(words: str) -> bool:
    """Tell whether an error of Python's, the C++ library's, the dynamic linker's or TensorFlow's is about memory."""
    lower = words.lower()
    return any(sign in lower for sign in _MEMORY_SIGNS)
