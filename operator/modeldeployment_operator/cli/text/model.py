"""How one model is doing, at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import Revision, RevisionPhase, Verdict
from modeldeployment_operator.cli.seen import Reading, Seen, verdict_words
from modeldeployment_operator.cli.text import bars
from modeldeployment_operator.cli.text.layout import Cell, Row, paragraph, table
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.waiting import waits
from modeldeployment_operator.cli.text.words import ago, percent
from modeldeployment_operator.core.fleet import State, location, number
from modeldeployment_operator.core.gauge import words
from modeldeployment_operator.core.text import count

LOOKS: Final = {
    State.UNAVAILABLE: "red",
    State.DEGRADED: "red",
    State.STALLED: "red",
    State.ROLLED_BACK: "yellow",
    State.PROGRESSING: "blue",
    State.PAUSED: "yellow",
    State.NEW: "blue",
    State.READY: "green",
}
VERDICTS: Final = {Verdict.HEALTHY: "green", Verdict.DEGRADED: "red", Verdict.UNAVAILABLE: "yellow"}
_PHASES: Final = {RevisionPhase.SERVING: "bold", RevisionPhase.REJECTED: "red", RevisionPhase.RETIRED: "dim"}
_OLD_SHOWN: Final = 2
"""Retired revisions in the table; `history` has all."""
_BAR: Final = 10
_PROOF: Final = 16
_LEAST_PLOT, _WIDEST_PLOT = 24, 61
_BY_CHOICE: Final = {Reason.NO_SERVICE_MONITOR_KIND, Reason.NO_PROMETHEUS_RULE_KIND, Reason.SWITCHED_OFF}
"""Who has no Prometheus Operator knows that."""
_SAID_BY_READY: Final = {
    ConditionType.READY,
    ConditionType.RECONCILING,
    ConditionType.STALLED,
    ConditionType.ROLLED_BACK,
    ConditionType.AVAILABLE,
}


def model(style: Style, seen: Seen, now: datetime) -> list[str]:
    """Return what is to be known of a model now."""
    state = seen.row.state
    head = f"{style.paint(seen.name, 'bold')} in {seen.key.namespace}: {style.paint(state.words, LOOKS[state], 'bold')}"
    lines = [head, *paragraph(style, _sentence(seen.row.why), "  ")]
    if seen.status.revisions:
        lines += ["", *_revisions(style, seen, now)]
    for revision in _judged(seen):
        if reading := seen.reading(revision):
            lines += ["", *quality(style, seen.short(revision.name), reading)]
        elif revision.gauge:
            lines += ["", *paragraph(style, f"{seen.short(revision.name)}: {words(revision.gauge)}")]
        if revision.name == seen.status.serving_revision:
            lines += outlook(style, seen)
    for condition in troubles(seen):
        lines += ["", *_trouble(style, condition)]
    waited = list(waits(seen, now))
    lines += ["", f"{style.paint('Waits for', 'bold')} {'nothing' if not waited else ''}".rstrip()]
    for text in waited:
        lines += paragraph(style, f"- {text}", "  ", "    ")
    return lines


def quality(style: Style, revision: str, reading: Reading) -> list[str]:
    """Return what the labels say of a revision, with its interval and evidence as a plot."""
    if reading.estimate is None:
        return [f"{reading.metric} of {revision}: no labels yet; it should be at least {reading.level:g}"]
    numbers = f"{reading.estimate:.4f} from {count(reading.labels, 'label')}, {reading.wrong:,} wrong"
    head = f"{reading.metric} of {style.paint(revision, 'bold')}: {numbers}"
    width = min(_WIDEST_PLOT, max(_LEAST_PLOT, style.width - 30))
    low = _lowest(reading)
    ends = (reading.lower, reading.upper)
    axis, under = bars.interval(style, (low, 1.0), ends, reading.estimate, reading.level, width)
    told = f"  [{reading.lower:.4f}, {reading.upper:.4f}]"
    full = reading.proof >= 1
    look = "red" if full else "yellow" if reading.proof >= 0.5 else "green"
    proof = style.paint(bars.bar(reading.proof, _PROOF), look)
    words = "that is proof" if full else f"{percent(reading.proof)} of proof"
    return [
        head,
        f"  {axis}{told}",
        f"  {under} is demanded",
        f"  evidence that it is worse: {proof} {words}",
    ]


def outlook(style: Style, seen: Seen) -> list[str]:
    """Return how long a decline of the revision that serves would go unseen, marked if probation is over before."""
    told = seen.status.accuracy
    decline = number(told.decline) if told else None
    if told is None or decline is None or told.decline_labels is None:
        return []
    text = f"a decline to {decline:g} is proven by {count(told.decline_labels, 'label')}, half of the time"
    rate = number(told.labels_per_hour)
    if not rate or told.decline_within is None:
        return paragraph(style, f"{text}; no labels come", "  ", "    ")
    lines = paragraph(style, f"{text}: {told.decline_within} at {rate:,.0f} labels an hour", "  ", "    ")
    try:
        late = seen.spec is not None and seconds(told.decline_within) > seconds(seen.spec.rollback.probation)
    except ValueError:
        late = False
    if late and seen.spec is not None:
        late_words = f"longer than probation ({seen.spec.rollback.probation}): send more labels, or make that longer"
        lines += [style.paint(line, "yellow") for line in paragraph(style, late_words, "    ")]
    return lines


def troubles(seen: Seen) -> list[Condition]:
    """Return the conditions that are not as they should be, and that nothing above says already."""
    plotted = seen.row.quality is not None and seen.row.quality.estimate is not None
    said = {_short(seen, one) for one in seen.status.conditions if one.type in _SAID_BY_READY - {ConditionType.READY}}
    said.add(seen.row.why)
    return [
        one
        for one in seen.status.conditions
        if (one.status is not ConditionStatus.TRUE or one.type is ConditionType.NEEDS_ATTENTION)
        and (one.type is ConditionType.READY or one.type not in _SAID_BY_READY)
        and not (plotted and one.reason is Reason.INCONCLUSIVE)
        and one.reason not in _BY_CHOICE
        and _short(seen, one) not in said
    ]


def _short(seen: Seen, condition: Condition) -> str:
    """Return a message with the short names of revisions."""
    message = condition.message
    for revision in seen.status.revisions:
        message = message.replace(revision.name, seen.short(revision.name))
    return message


def _trouble(style: Style, condition: Condition) -> list[str]:
    head = f"{condition.type}={condition.status}, {condition.reason}: "
    return paragraph(style, head + condition.message, "", "  ")


def _judged(seen: Seen) -> Iterator[Revision]:
    """Yield the revisions of which the labels matter now: the one that serves, and who is on its way to the traffic."""
    for name in dict.fromkeys((seen.status.serving_revision, seen.status.candidate_revision)):
        revision = seen.find(name)
        if revision is not None:
            yield revision


def _revisions(style: Style, seen: Seen, now: datetime) -> list[str]:
    shares = seen.shares()
    retired = [one for one in seen.status.revisions if one.phase is RevisionPhase.RETIRED and not one.replicas]
    hidden = {one.name for one in retired[_OLD_SHOWN:]}
    rows: list[Row] = [
        [
            Cell(seen.short(one.name), _PHASES.get(one.phase, "")),
            Cell(one.phase.value, _PHASES.get(one.phase, "")),
            f"{one.ready_replicas}/{one.replicas}" if one.replicas else "",
            f"{bars.bar(shares[one.name] / 100, _BAR)} {shares[one.name]:>3}%" if one.name in shares else "",
            Cell(verdict_words(one.verdict), VERDICTS.get(one.verdict, "") if one.verdict else ""),
            ago(one.serving_since, now),
            location(one.model_uri),
        ]
        for one in seen.status.revisions
        if one.name not in hidden
    ]
    heads = ("REVISION", "PHASE", "PODS", "TRAFFIC", "VERDICT", "SERVED FROM", "MODEL")
    lines = table(style, heads, rows, ends=True)
    if hidden:
        lines.append(style.paint(f"and {len(hidden)} more that are retired: kubectl model history {seen.name}", "dim"))
    return lines


def _lowest(reading: Reading) -> float:
    """Return where the axis begins: at a tenth below all that is to be seen."""
    least = min(reading.level, reading.lower, 1.0 if reading.estimate is None else reading.estimate)
    return max(0.0, int(least * 10 - 1e-9) / 10)


def _sentence(text: str) -> str:
    """Return a text as a sentence begins; names stay as they are."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text
