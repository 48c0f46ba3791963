"""Where revisions stand: who serves, who could take over, who is on probation, and what is remembered of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.status import Revision, Verdict
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.rejection import is_given_up, latched_rejection


def serving_revision(observation: Observation) -> str | None:
    """Return the revision that has the traffic; what the Service selects, should the status have been lost.

    One without a record that can be read goes on serving, as long as it has pods.
    """
    for name in (observation.status.serving_revision, observation.selected):
        if name in observation.stored or name in observation.workloads:
            return name
    return None


def revision_status(observation: Observation, name: str | None) -> Revision | None:
    """Return what is remembered of a revision."""
    return next((revision for revision in observation.status.revisions if revision.name == name), None)


def probation_ends(observation: Observation) -> datetime | None:
    """Return when the revision that serves need no longer be able to give way at once."""
    serving = revision_status(observation, observation.status.serving_revision)
    if serving is None or serving.serving_since is None:
        return None
    probation = timedelta(seconds=seconds(observation.spec.rollback.probation))
    return datetime.fromisoformat(serving.serving_since) + probation


def on_probation(observation: Observation) -> bool:
    """Return whether the revision that serves may still have to give way at once."""
    ends = probation_ends(observation)
    return ends is None or observation.now < ends


def standby_of(observation: Observation, judged: Mapping[str, Judged], serving: str) -> str | None:
    """Return the last good revision, as long as it is one."""
    name = observation.status.standby_revision
    if name is None or name == serving or name not in observation.stored:
        return None
    is_good = not is_degraded(judged, name) and not is_given_up(observation, name)
    return name if is_good and latched_rejection(observation, name) is None else None


def is_degraded(judged: Mapping[str, Judged], name: str | None) -> bool:
    """Return whether a revision is proven worse than demanded."""
    return name is not None and name in judged and judged[name].verdict is Verdict.DEGRADED
