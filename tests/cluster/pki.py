"""The cluster's certificates; made by the executable, since Python's standard library cannot make any."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.cluster.components import host_names
from tests.cluster.errors import ClusterError

if TYPE_CHECKING:
    from tests.cluster.state import Cluster

_LAST = "service-accounts.key"
"""The file that is written last."""


def write(cluster: Cluster) -> None:
    """Make the certificates, unless they are there."""
    directory = cluster.paths.pki
    if (directory / _LAST).exists():
        return
    command = [
        cluster.executable,
        "pki",
        f"--directory={directory}",
        f"--hosts={','.join(host_names(cluster))}",
        f"--node={cluster.name}",
        f"--node-address={cluster.address}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"The certificates could not be written to {directory}: {done.stderr.strip()}")
