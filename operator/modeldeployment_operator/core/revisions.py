"""A revision: an immutable snapshot of what decides the answers of the pods."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modeldeployment_operator.api.base import ApiModel
from modeldeployment_operator.api.feedback import Feedback
from modeldeployment_operator.api.model import ModelSource
from modeldeployment_operator.api.serving import Batching, ServerVariable
from modeldeployment_operator.api.spec import ModelDeploymentSpec

HASH_LENGTH: Final = 10


class Template(ApiModel):
    """What a ControllerRevision keeps: enough to make the pods again after the spec has moved on."""

    model: ModelSource
    image: str
    env: list[ServerVariable] | None = None
    batching: Batching | None = None
    feedback: Feedback | None = None


@dataclass(frozen=True)
class Snapshot:
    """A named template."""

    name: str
    template: Template


def snapshot_of(name: str, spec: ModelDeploymentSpec, default_image: str) -> Snapshot:
    """Return the revision that a spec asks for; the same wish always gives the same name.

    The name is made from what the user wrote. What is filled in for him, the serving image and the model's name,
    stands in the template only: so an operator that is installed with another default image moves no traffic, and
    does not try a rejected revision again under another name.
    """
    wish: dict[str, Any] = {
        "model": document_of(spec.model),
        "image": spec.serving.image,
        "env": [document_of(variable) for variable in spec.serving.env or ()],
    }
    # What came later than the first release stands there only if it is given: the names of the rest stay as they are.
    later = {"batching": spec.serving.batching, "feedback": spec.feedback}
    wish |= {key: _given(part) for key, part in later.items() if part is not None}
    model = spec.model if spec.model.name else spec.model.model_copy(update={"name": name})
    template = Template(
        model=model,
        image=spec.serving.image or default_image,
        env=spec.serving.env,
        batching=spec.serving.batching,
        feedback=spec.feedback,
    )
    return Snapshot(f"{name}-{digest_of(wish)}", template)


def content_of(template: Template) -> str:
    """Return a hash of what decides the answers and what they are held against, wherever the model lies."""
    model = document_of(template.model)
    known = {key: value for key, value in model.items() if key not in {"uri", "name", "env"}}
    return digest_of({"model": known, "env": [document_of(one) for one in template.env or ()]})


def _given(part: ApiModel) -> dict[str, Any]:
    """Return what a user wrote, so that a default that comes later changes no name."""
    return part.model_dump(mode="json", by_alias=True, exclude_unset=True)


def document_of(model: ApiModel) -> dict[str, Any]:
    """Return a model as JSON data, without what is not set."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def digest_of(document: Mapping[str, Any]) -> str:
    """Return a short hash of JSON data that does not depend on the order of keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]
