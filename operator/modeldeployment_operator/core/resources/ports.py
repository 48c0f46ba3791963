"""The ports of a pod, and of the Services before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from model_server import contract

from modeldeployment_operator.api.spec import ModelDeploymentSpec

FEEDBACK_PORT_NAME: Final = "feedback"


@dataclass(frozen=True)
class Port:
    """A port that has the same number everywhere."""

    name: str
    number: int
    protocol: str | None = None
    """What is spoken, for proxies: Kubernetes' appProtocol."""

    @property
    def of_container(self) -> dict[str, Any]:
        """As a container has it."""
        return {"name": self.name, "containerPort": self.number, "protocol": "TCP"}

    @property
    def of_service(self) -> dict[str, Any]:
        """As a Service has it."""
        spoken = {"appProtocol": self.protocol} if self.protocol else {}
        return {"name": self.name, "port": self.number, "targetPort": self.name, "protocol": "TCP", **spoken}


ADMIN: Final = Port(contract.ADMIN_PORT_NAME, contract.ADMIN_PORT)


def clients_ports(spec: ModelDeploymentSpec) -> list[Port]:
    """Return the ports that clients come to."""
    http = "https" if spec.serving.tls else "http"
    # HTTP/2 from the first byte: a proxy that took it for HTTP/1.1 would break every call.
    grpc = "https" if spec.serving.tls else "kubernetes.io/h2c"
    ports = [
        Port(contract.HTTP_PORT_NAME, contract.HTTP_PORT, http),
        Port(contract.GRPC_PORT_NAME, contract.GRPC_PORT, grpc),
    ]
    if spec.serving.feedback_port:
        ports.append(Port(FEEDBACK_PORT_NAME, spec.serving.feedback_port, http))
    return ports
