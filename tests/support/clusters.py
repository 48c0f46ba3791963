"""Clusters that several runs of the tests may use at the same time."""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING, TextIO

from tests import cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster import Cluster, Shape


@contextlib.contextmanager
def borrowed(name: str, shape: Shape, *, audit: bool = False) -> Iterator[Cluster]:
    """Bring a cluster up if it is not, and leave it as it was, unless another run of the tests still uses it."""
    before = cluster.status(name)
    local = cluster.up(name, shape, audit=audit)
    with (local.paths.state / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield local
        if not (before and before.up) and _is_last(users):
            cluster.down(name)


def _is_last(users: TextIO) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
