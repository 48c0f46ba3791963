"""Prometheus as platform teams run it, in a cluster with pods: Prometheus Operator, Prometheus and Alertmanager.

Namespace, names and selectors are those of the Helm chart kube-prometheus-stack, installed under that name: what works
here works there. The operator is compiled from its Go module; Prometheus and Alertmanager are Debian's.
"""

from tests.cluster.monitoring.install import Installed, install
from tests.cluster.monitoring.objects import SELECTED

__all__ = ["SELECTED", "Installed", "install"]
