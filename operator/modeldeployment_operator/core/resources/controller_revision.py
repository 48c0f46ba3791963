"""The ControllerRevision: what a revision is, kept so that it can be served again."""

from __future__ import annotations

from modeldeployment_operator.api.status import Rejection
from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import CONTROLLER_REVISION
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object
from modeldeployment_operator.core.revisions import Snapshot, document_of


def build_controller_revision(
    observation: Observation, snapshot: Snapshot, number: int, rejection: Rejection | None
) -> Manifest:
    """Return the record of a revision, and of its rejection should the status be lost."""
    annotations = {names.REJECTION_ANNOTATION: rejection.model_dump_json(by_alias=True)} if rejection else None
    revision = build_object(
        observation, CONTROLLER_REVISION, snapshot.name, revision=snapshot.name, annotations=annotations
    )
    return revision | {"revision": number, "data": document_of(snapshot.template)}
