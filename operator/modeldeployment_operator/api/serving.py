"""How the pods run."""

from __future__ import annotations

from typing import Annotated, Final

from model_server import contract
from model_server.contract import Env
from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, NoTwins, Rule
from modeldeployment_operator.api.kubernetes import (
    EnvVar,
    LabelMap,
    LocalObjectReference,
    Opaque,
    ResourceRequirements,
    SecretKey,
    operators_own,
)
from modeldeployment_operator.api.network import NetworkPolicy

_SERVING: Final = {one.value for one in (Env.DRAIN_SECONDS, Env.EXTRA_OPS, Env.FRONTEND_PROCESSES, Env.MAX_BODY_BYTES)}
_TAKEN: Final = [contract.GRPC_PORT, contract.HTTP_PORT, contract.ADMIN_PORT]
_MOST_ROWS: Final = 65_536
BatchSizes = Annotated[list[Annotated[int, Field(ge=1, le=_MOST_ROWS)]], Field(min_length=1, max_length=64), NoTwins()]


class ServerVariable(EnvVar):
    """An environment variable of the container that serves."""

    rules = (*EnvVar.rules, operators_own(_SERVING))


class FetchCache(ApiModel):
    """A claim that pods share for what they fetch."""

    claim_name: str = Field(
        min_length=1,
        max_length=253,
        description="PersistentVolumeClaim that all pods mount to write: of the mode ReadWriteMany, or on one node.",
    )


class Batching(ApiModel):
    """How requests are put together, by TensorFlow Serving's names. What is absent never makes a request wait."""

    max_batch_size: int | None = Field(
        None, ge=1, le=_MOST_ROWS, description="Rows of one call of the model; 1 turns batching off; 128 if absent."
    )
    batch_timeout_micros: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="How long a call waits for more rows although a processor is free; 0 if absent.",
    )
    max_enqueued_batches: int | None = Field(
        None,
        ge=1,
        le=_MOST_ROWS,
        description="Full batches that may wait; requests beyond are answered 503. 16 if absent.",
    )
    num_batch_threads: int | None = Field(
        None, ge=1, le=1024, description="Calls at the same time; as many as there are processors if absent."
    )
    allowed_batch_sizes: BatchSizes | None = Field(
        None, description="Calls are filled up to one of these sizes, the last of which is maxBatchSize."
    )
    pad_variable_length_inputs: bool | None = Field(
        None,
        description="Put rows of different lengths together, the shorter filled up with zeros or empty texts: for "
        "models that give the same answers then. False if absent.",
    )

    rules = (
        Rule(
            cel="!has(self.allowedBatchSizes) || has(self.maxBatchSize) && self.allowedBatchSizes.isSorted() && "
            "self.allowedBatchSizes[size(self.allowedBatchSizes) - 1] == self.maxBatchSize",
            holds=lambda self: (
                self.allowed_batch_sizes is None
                or (
                    self.allowed_batch_sizes == sorted(self.allowed_batch_sizes)
                    and self.allowed_batch_sizes[-1] == self.max_batch_size
                )
            ),
            message="allowedBatchSizes must rise, and end with maxBatchSize",
        ),
    )


class Tls(ApiModel):
    """By which certificate the pods are known."""

    secret_name: str = Field(
        min_length=1,
        max_length=253,
        description="Secret of the type kubernetes.io/tls. If it has a ca.crt, clients must show a certificate of that "
        "authority. Pods know each other by it, so it must be for servers and clients; a renewed one is taken without "
        "a restart.",
    )


class Serving(ApiModel):
    """How the pods run.

    A change of image, env or batching makes a new revision; the rest is applied to the pods that are.
    """

    image: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="Serving image; the one that the operator was installed with if absent.",
    )
    env: Annotated[list[ServerVariable], Field(max_length=64), NoTwins("name")] | None = Field(
        None,
        description="Environment of the container that serves. Credentials of the model's store belong into "
        "model.env: a container that answers requests has no use for them. Where there is no model.env, the container "
        "that fetches the model has these, too.",
    )
    resources: ResourceRequirements | None = Field(None, description="Compute resources of the container that serves.")
    fetch_resources: ResourceRequirements | None = Field(
        None,
        description="Compute resources of the container that fetches the model before the other starts; those of the "
        "other if absent. For a .keras or .h5 file it imports Keras, which takes 400 MB beside the model itself.",
    )
    fetch_cache: FetchCache | None = Field(
        None,
        description="Where pods share what they fetch. It is used for models whose digest is known, and what lies "
        "there is hashed again each time: nobody is believed who can write there.",
    )
    batching: Batching | None = Field(None, description="How requests are put together.")
    tls: Tls | None = Field(
        None,
        description="Speak TLS on the ports for clients. Probes, metrics and the operator come to the admin port, "
        "which stays plain and is no part of the Service that clients call.",
    )
    tokens: SecretKey | None = Field(
        None,
        description="Secret with bearer tokens, one a line. Clients must send one: Authorization: Bearer TOKEN.",
    )
    feedback_port: int | None = Field(
        None,
        ge=1024,
        le=65535,
        description="A port of its own for labels, which are then taken nowhere else, so that a NetworkPolicy can tell "
        "who predicts from who sends labels.",
    )
    network_policy: NetworkPolicy | None = Field(
        None,
        description="Make a NetworkPolicy for the pods; without it there is none. With {} clients may come from "
        "anywhere, and to the admin port the operator and Prometheus alone.",
    )
    node_selector: LabelMap | None = Field(None, description="Labels that a node must have.")
    tolerations: Annotated[list[Opaque], Field(max_length=64)] | None = Field(
        None, description="Taints that the pods tolerate, as in a pod."
    )
    affinity: Opaque | None = Field(None, description="Affinity, as in a pod.")
    topology_spread_constraints: Annotated[list[Opaque], Field(max_length=16)] | None = Field(
        None,
        description="How the pods are spread, as in a pod. If absent, those of a revision prefer different nodes and "
        "zones.",
    )
    priority_class_name: str | None = Field(None, max_length=253, description="PriorityClass of the pods.")
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=16)] | None = Field(
        None, description="Secrets to pull the image with."
    )
    service_account_name: str | None = Field(
        None, max_length=253, description="ServiceAccount of the pods; its token is never mounted."
    )

    rules = (
        Rule(
            cel=f"!has(self.feedbackPort) || !(self.feedbackPort in {_TAKEN})",
            holds=lambda self: self.feedback_port not in _TAKEN,
            message=f"feedbackPort must be another than {', '.join(map(str, _TAKEN))}",
        ),
        Rule(
            cel="!has(self.networkPolicy) || !has(self.networkPolicy.feedback) || has(self.feedbackPort)",
            holds=lambda self: (
                self.network_policy is None or self.network_policy.feedback is None or self.feedback_port is not None
            ),
            message="networkPolicy.feedback needs a feedbackPort: without one, labels come to the ports of clients",
        ),
    )
