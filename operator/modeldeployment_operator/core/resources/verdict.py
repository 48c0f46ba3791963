"""The ModelVerdict: what was decided of a revision, and what that rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from modeldeployment_operator.api.status import Rejection, RejectionCause
from modeldeployment_operator.api.verdict import ModelVerdictSpec, Outcome
from modeldeployment_operator.core import names
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.kinds import MODEL_VERDICT
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.rejection import cause, facts_of
from modeldeployment_operator.core.resources.metadata import Manifest
from modeldeployment_operator.core.revisions import Template, content_of, document_of
from modeldeployment_operator.core.rollout import known_rollout
from modeldeployment_operator.core.standing import revision_status
from modeldeployment_operator.core.text import precise, shortened

_HASH_LENGTH = 8


def build_verdict(observation: Observation, judged: Mapping[str, Judged], decision: Decision) -> Manifest | None:
    """Return the record of what is decided now; None if nothing is that rests on labels or on its user's word.

    It has no owner, for it outlives all. The same decision, made once more after a crash, has the same name.
    """
    found = decided(observation, decision)
    if found is None:
        return None
    revision, outcome = found
    template, known = _template(observation, revision), judged.get(revision)
    status = revision_status(observation, revision)
    accuracy = observation.spec.accuracy
    spec = ModelVerdictSpec(
        model=observation.key.name,
        model_uid=observation.uid,
        revision=revision,
        outcome=outcome,
        time=precise(observation.now),
        message=shortened(_message(revision, decision.rejection, decision.serving)),
        model_uri=template.model.uri if template else "",
        digest=template.model.digest if template else None,
        content=content_of(template) if template else None,
        serves=decision.serving,
        serving_since=status.serving_since if status else None,
        maximum_drop=f"{accuracy.maximum_drop:g}" if accuracy and accuracy.maximum_drop is not None else None,
        minimum_labels=accuracy.minimum_labels if accuracy and known and known.level else None,
        evidence=known.state.model_copy(update={"pods": [], "copying": []}) if known and known.state else None,
        gauge=known.gauge if known else None,
        retry=observation.asked.retry,
        **(facts_of(known) if known else {}),
    )
    metadata = {
        "name": f"{revision}-{outcome.lower()}-{_distinction(observation, spec)}",
        "namespace": observation.key.namespace,
        "labels": {**names.common_labels(observation.key.name), names.REVISION_LABEL: revision},
    }
    return {
        "apiVersion": MODEL_VERDICT.api_version,
        "kind": MODEL_VERDICT.kind,
        "metadata": metadata,
        "spec": document_of(spec),
    }


def decided(observation: Observation, decision: Decision) -> tuple[str, Outcome] | None:
    """Return of which revision something is decided now that is recorded, and what; None if nothing is."""
    rejection, serving = decision.rejection, decision.serving
    if rejection is not None:
        if rejection.reason is RejectionCause.ABORTED:
            return rejection.revision, Outcome.ABORTED
        if rejection.reason is not RejectionCause.DEGRADED:
            return rejection.revision, Outcome.WITHDRAWN
        return rejection.revision, Outcome.ROLLED_BACK if decision.switched else Outcome.REJECTED
    if not decision.switched or serving is None:
        return None
    was_rejected = any(one.revision == serving for one in observation.status.rejections)
    is_promoted = known_rollout(observation, serving) is not None or was_rejected
    return (serving, Outcome.PROMOTED) if is_promoted else None


def _message(revision: str, rejection: Rejection | None, serving: str | None) -> str:
    if rejection is None:
        return f"{revision} was promoted, and has the traffic"
    return f"{revision} was taken back: {cause(rejection)}; {serving} serves"


def _template(observation: Observation, revision: str) -> Template | None:
    if revision in observation.stored:
        return observation.stored[revision].template
    return observation.desired.template if observation.desired.name == revision else None


def _distinction(observation: Observation, spec: ModelVerdictSpec) -> str:
    """Return what tells this decision from others of the same kind about the same revision."""
    rollout, starting = known_rollout(observation, spec.revision), observation.status.starting
    begun = rollout.since if rollout else starting.since if starting else ""
    parts = (spec.model_uid, spec.serving_since or begun, spec.retry or "")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_HASH_LENGTH]
