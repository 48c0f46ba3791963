"""A ModelVerdict reckoned once more, to see whether what was decided follows from what was recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.api.verdict import PROVEN_WORSE, ModelVerdictSpec, Outcome
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.intervals import anytime_interval
from modeldeployment_operator.core.metrics import share_of, value_of
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
    if state is None or state.level is None or alpha is None or not state.right + state.wrong:
        raise ValueError(f"{verdict.outcome}: nothing was judged, so there is nothing to reckon")
    metric, labels = AccuracyMetric(state.metric), state.right + state.wrong
    level = share_of(metric, float(state.level))
    low, high = (value_of(metric, end) for end in anytime_interval(state.right, state.wrong, float(alpha)))
    log_e = Evidence(level, float(labels), tuple(map(float, state.log_bets))).log_e
    proof = -math.log(float(alpha))
    found = Replayed(
        labels=labels,
        estimate=ratio(value_of(metric, state.right / labels)),
        lower=ratio(low),
        upper=ratio(high),
        log_e=log_e,
        log_e_at_once=Evidence.start(level).observe(state.right, state.wrong).log_e,
        proof=proof,
        degraded=labels >= (verdict.minimum_labels or 0) and log_e >= proof,
        differences=(),
    )
    return Replayed(**{**vars(found), "differences": tuple(_differences(verdict, found))})


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
