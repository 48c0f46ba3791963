"""Who may talk with the pods, and with whom they may."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel
from modeldeployment_operator.api.kubernetes import Opaque

Peers = Annotated[list[Opaque], Field(min_length=1, max_length=64)]
"""As in `from` of a NetworkPolicy; passed on as they are, and checked by the cluster. An empty list would mean all."""
EgressRules = Annotated[list[Opaque], Field(max_length=64)]


class NetworkPolicy(ApiModel):
    """Who may talk with the pods, and with whom they may. Pods of the model and the operator always may."""

    clients: Peers | None = Field(
        None, description="Who may send requests, as in `from` of a NetworkPolicy; anybody if absent."
    )
    feedback: Peers | None = Field(
        None, description="Who may send labels to feedbackPort, as in `from` of a NetworkPolicy; clients if absent."
    )
    monitoring: Peers | None = Field(
        None,
        description="Who may read the metrics on the admin port, as in `from` of a NetworkPolicy; pods of any "
        "namespace with the label app.kubernetes.io/name: prometheus if absent.",
    )
    egress: EgressRules | None = Field(
        None,
        description="Where the pods may connect to beside DNS on port 53 and each other, as in `egress` of a "
        "NetworkPolicy: the model's store, and where labels and traces go, if they do. Anywhere if absent, nowhere "
        "else if empty. It holds for all containers of a pod: where the one that fetches the model can connect to, the "
        "one that serves it can, too.",
    )
