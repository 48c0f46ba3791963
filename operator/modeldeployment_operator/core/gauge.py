"""A user's gauge against a plain threshold, held for a while: an alert, not a test.

A gauge says neither how many labels stand behind it nor how they came, so no chance of error can be promised, and none
is: whoever reads a verdict of it is told so. Time in which nothing could be read, or nobody did, counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.query import Query
from modeldeployment_operator.api.status import GaugeState, Revision, RevisionPhase, Verdict
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.text import precise

PLAIN: Final = "a plain threshold on a gauge, without a bound on errors"


@dataclass(frozen=True)
class Gauged:
    """What is known of a revision by its gauge."""

    verdict: Verdict
    state: GaugeState | None
    before: Verdict | None = None
    """What it said when it could last be read; None if it can be."""


def judge_gauges(
    observation: Observation, query: Query, minimum: float, revisions: Iterable[Revision]
) -> Mapping[str, Gauged]:
    """Return what is known of each of these revisions that runs."""
    running = {pod.revision for pod in observation.pods if pod.running}
    return {
        one.name: _judge(observation, query, minimum, one)
        for one in revisions
        if one.name in running or one.gauge is not None or one.phase is RevisionPhase.CANDIDATE
    }


def words(state: GaugeState) -> str:
    """Return what a gauge says, in one line."""
    since = f", below it since {state.below_since}" if state.below_since else ""
    return f"gauge {state.value}, should be at least {state.minimum}{since}: {PLAIN}"


def _judge(observation: Observation, query: Query, minimum: float, revision: Revision) -> Gauged:
    known = revision.gauge
    if known is not None and (known.query, known.minimum) != (query.digest, f"{minimum:g}"):
        known = None
    value = _value(observation, revision.name)
    if value is not None:
        below_since = None if value >= minimum else (known and known.below_since) or precise(observation.now)
        state = GaugeState(query=query.digest, minimum=f"{minimum:g}", value=f"{value:.6g}", below_since=below_since)
        return Gauged(_verdict(observation, query, state), state)
    said = _verdict(observation, query, known) if known else Verdict.INCONCLUSIVE
    is_told = revision.name in observation.silent or revision.verdict is Verdict.UNAVAILABLE
    if is_told and revision.verdict is not Verdict.DEGRADED:
        held = known and known.model_copy(update={"below_since": None})
        return Gauged(Verdict.UNAVAILABLE, held, before=said)
    # Time alone proves nothing: it has to be read once more.
    kept = known is not None and revision.verdict not in {None, Verdict.UNAVAILABLE}
    return Gauged(revision.verdict if kept and revision.verdict else Verdict.INCONCLUSIVE, known)


def _value(observation: Observation, revision: str) -> float | None:
    values = (one.gauge for one in (observation.samples or {}).values() if one.revision == revision)
    return next((value for value in values if value is not None), None)


def _verdict(observation: Observation, query: Query, state: GaugeState) -> Verdict:
    if state.below_since is None:
        return Verdict.HEALTHY
    lasted = observation.now - observation.seen_since(state.below_since)
    return Verdict.DEGRADED if lasted >= timedelta(seconds=seconds(query.lasting)) else Verdict.INCONCLUSIVE
