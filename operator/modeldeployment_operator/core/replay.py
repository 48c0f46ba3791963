"""A ModelVerdict reckoned once more, to see whether what was decided follows from what was recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from modeldeployment_operator.api.verdict import PROVEN_WORSE, ModelVerdictSpec, Outcome
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.findings import Finding, combined, findings_of, plan_in
from modeldeployment_operator.core.metrics import share_of
from modeldeployment_operator.core.text import ratio


@dataclass(frozen=True)
class Replayed:
    """What was recorded comes to.

    Attributes:
        labels: labels that were judged.
        estimate: value of the metric, as the record writes it.
        lower: lower end of the interval, likewise.
        upper: upper end of the interval, likewise.
        log_e: natural logarithm of the evidence, from the state of the test.
        log_e_at_once: the same from the numbers of labels alone, as if all had come in one step.
        proof: what it has to reach: ln(1/alpha).
        degraded: whether that proves the revision worse.
        differences: what is otherwise in the record; none if it is sound.

    """

    labels: int
    estimate: str
    lower: str
    upper: str
    log_e: float
    log_e_at_once: float
    proof: float
    degraded: bool
    differences: tuple[str, ...]


def replay(verdict: ModelVerdictSpec) -> Replayed:
    """Reckon a verdict once more; ValueError if nothing was judged, or the record cannot be read."""
    state, alpha = verdict.evidence, verdict.alpha
    if state is None or alpha is None or not state.right + state.wrong or not (state.level or state.further):
        raise ValueError(f"{verdict.outcome}: nothing was judged, so there is nothing to reckon")
    findings = findings_of(plan_in(state, float(alpha)), state)
    told = next((one for one in findings if _is_told(verdict, one)), findings[0])
    low, high = told.interval(float(alpha))
    log_e = combined(findings).log_e
    proof = -math.log(float(alpha))
    found = Replayed(
        labels=told.labels,
        estimate=ratio(told.estimate or 0.0),
        lower=ratio(low),
        upper=ratio(high),
        log_e=log_e,
        log_e_at_once=combined(map(_at_once, findings)).log_e,
        proof=proof,
        degraded=state.right + state.wrong >= (verdict.minimum_labels or 0) and log_e >= proof,
        differences=(),
    )
    return Replayed(**{**vars(found), "differences": tuple(_differences(verdict, found))})


def _is_told(verdict: ModelVerdictSpec, finding: Finding) -> bool:
    """Return whether a verdict tells the numbers of this criterion."""
    stream = finding.criterion.stream
    return finding.criterion.is_level and (stream.metric.value, stream.slice) == (verdict.metric, verdict.slice)


def _at_once(finding: Finding) -> Finding:
    """Return a finding as if all labels had come in one step; comparisons have no such step."""
    criterion = finding.criterion
    if not criterion.is_level or criterion.value is None:
        return finding
    level = share_of(criterion.stream.metric, criterion.value)
    return replace(finding, log_e=Evidence.start(level).observe(finding.right, finding.wrong).log_e)


def _differences(verdict: ModelVerdictSpec, found: Replayed) -> list[str]:
    told = {
        "estimate": (verdict.estimate, found.estimate),
        "lower": (verdict.lower, found.lower),
        "upper": (verdict.upper, found.upper),
        "logE": (verdict.log_e, f"{found.log_e:.3f}"),
    }
    wrong = [
        f"{name} is {recorded}, and comes to {computed}"
        for name, (recorded, computed) in told.items()
        if recorded != computed
    ]
    if verdict.outcome in PROVEN_WORSE and not found.degraded:
        wrong.append(f"the outcome is {verdict.outcome}, which the evidence does not prove")
    if verdict.outcome is Outcome.PROMOTED and found.degraded:
        wrong.append("it was promoted, although the evidence proves it worse")
    return wrong
