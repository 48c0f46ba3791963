"""A real Kubernetes on a bare machine: every component as a process, no container engine needed.

From the shell, in the repository's root: `python3 -m tests.cluster --help`.
From a test: `from tests.cluster import down, up`; `up("my-tests").kubeconfig` is the administrator's kubeconfig.
Only Python's standard library is used, so that a cluster can be started before anything is installed.
"""

from tests.cluster.errors import ClusterError
from tests.cluster.lifecycle import down, status, up
from tests.cluster.state import Cluster, Shape

__all__ = ["Cluster", "ClusterError", "Shape", "down", "status", "up"]
