"""Which model is served, and where it comes from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from model_server.contract import Env
from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, NoTwins, Rule, form
from modeldeployment_operator.api.kubernetes import EnvVar, LocalObjectReference, operators_own

Uri = Annotated[
    str,
    Field(max_length=1024),
    # What a space is stands here: it differs between the dialects.
    form(
        r"(pvc|configmap|http|https|s3|gs|az|oci|hf)://[^/\x00-\x20\x7f]+(/[^\x00-\x20\x7f]*)?",
        "write pvc://CLAIM/PATH, configmap://NAME/KEY, http://HOST/FILE, https://HOST/FILE, s3://BUCKET/KEY, "
        "gs://BUCKET/KEY, az://CONTAINER/PATH, oci://REGISTRY/REPOSITORY:TAG or hf://ORG/REPO/PATH, without spaces",
    ),
]
Digest = Annotated[
    str,
    Field(max_length=71),
    form("sha256:[0-9a-f]{64}", "write sha256: and the 64 hexadecimal digits that sha256sum prints"),
]
ModelName = Annotated[
    str,
    Field(max_length=63),
    form(
        "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?",
        "use letters, digits, '.', '_' and '-' only, and begin and end with a letter or a digit",
    ),
]
ClassNames = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=128)]], Field(min_length=2, max_length=1000), NoTwins()
]


class ModelFormat(StrEnum):
    """File formats of a model."""

    KERAS = "keras"
    H5 = "h5"
    SAVED_MODEL = "saved_model"


class Task(StrEnum):
    """What a model does."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


_FETCHING: Final = {
    Env.MAX_MODEL_BYTES.value,
    Env.FETCH_SECONDS.value,
    Env.CACHE_MAX_BYTES.value,
    *(f"MODEL_HTTP_{name}" for name in ("TOKEN", "USER", "PASSWORD")),
    "MODEL_OCI_PLAIN_HTTP",
}


class FetchVariable(EnvVar):
    """An environment variable of the container that fetches the model."""

    rules = (*EnvVar.rules, operators_own(_FETCHING))


class ModelSource(ApiModel):
    """The model to serve."""

    uri: Uri = Field(
        description="Where the model lies: pvc://CLAIM/PATH, configmap://NAME/KEY, http(s)://HOST/FILE, "
        "s3://BUCKET/KEY, gs://BUCKET/KEY, az://CONTAINER/PATH, oci://REGISTRY/REPOSITORY:TAG or hf://ORG/REPO/PATH; "
        "a file (.keras, .h5, or a .zip or .tar.gz of a SavedModel) or a SavedModel directory.",
    )
    digest: Digest | None = Field(
        None,
        description="SHA-256 of the model, of an oci:// model that of its manifest, verified before anything opens it. "
        "Without it, a file that changes behind its URI goes unnoticed: give it in production.",
    )
    format: ModelFormat | None = Field(None, description="Format of the model; found out from the files if absent.")
    name: ModelName | None = Field(
        None,
        description="Name in the URL that clients call, /v1/models/NAME; the ModelDeployment's name if absent.",
    )
    labels: ClassNames | None = Field(
        None,
        description="Names of the classes in the order of the model's outputs. Of two classes the second is the "
        "positive one. With them, labels can be sent by name.",
    )
    task: Task | None = Field(
        None,
        description="What the model does: classification, as if absent, or regression, where an instance is answered "
        "by one number, and labels are numbers.",
    )
    tolerance: float | None = Field(
        None, gt=0, description="By how much the number of a regression may be off and still counts as right."
    )
    registry_secret: LocalObjectReference | None = Field(
        None, description="Secret of the type kubernetes.io/dockerconfigjson to fetch an oci:// model with."
    )
    env: Annotated[list[FetchVariable], Field(max_length=64), NoTwins("name")] | None = Field(
        None,
        description="Environment of the container that fetches the model, and of no other: credentials of the store, "
        "its region or endpoint, a proxy.",
    )

    rules = (
        Rule(
            cel="!has(self.registrySecret) || self.uri.startsWith('oci://')",
            holds=lambda self: self.registry_secret is None or self.uri.startswith("oci://"),
            message="registrySecret is for models in registries, oci://…",
        ),
        Rule(
            cel="has(self.tolerance) == (has(self.task) && self.task == 'regression')",
            holds=lambda self: (self.tolerance is not None) == (self.task is Task.REGRESSION),
            message="a regression needs a tolerance, by which a number may be off and still counts as right; a "
            "classification has none",
        ),
        Rule(
            cel="!(has(self.labels) && has(self.task) && self.task == 'regression')",
            holds=lambda self: self.labels is None or self.task is not Task.REGRESSION,
            message="a regression has no classes: leave out labels",
        ),
    )
