"""The verdict on one revision in plain words, with its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.api.status import Rejection, RejectionCause, Revision, RevisionPhase, Verdict
from modeldeployment_operator.cli.forecast import labels_to_proof
from modeldeployment_operator.cli.seen import Reading, Seen, reading_of
from modeldeployment_operator.cli.text.criteria import criteria
from modeldeployment_operator.cli.text.layout import facts, paragraph
from modeldeployment_operator.cli.text.model import VERDICTS, quality
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.words import ago, clock, hours, percent
from modeldeployment_operator.core.fleet import location, number
from modeldeployment_operator.core.gauge import words as gauge_words
from modeldeployment_operator.core.text import count

_METRICS: Final = {
    "accuracy": "the share of labels that agree with the prediction",
    "precision": "of the predictions of the second class, the share that was right",
    "recall": "of what is truly of the second class, the share that was predicted so",
    "f1": "the harmonic mean of precision and recall of the second class",
}
_DROPS: Final = (0.5, 0.1, 0.05, 0.02)
"""How far below its level a revision is imagined to fall."""
_NOTHING: Final = 0.001
"""Evidence below that is told as none."""


def in_question(seen: Seen) -> Revision | None:
    """Return the revision that people ask about first: the one taken back, else the candidate, else who serves."""
    refused = seen.refused
    names = (refused.revision if refused else None, seen.status.candidate_revision, seen.status.serving_revision)
    return next((one for one in map(seen.find, names) if one is not None), None)


def why(style: Style, seen: Seen, revision: Revision, now: datetime) -> list[str]:
    """Return why a revision is judged as it is."""
    name, rejection = seen.short(revision.name), seen.rejection(revision.name)
    looks = VERDICTS.get(revision.verdict, "") if revision.verdict else ""
    back = rejection is not None and revision.phase is RevisionPhase.REJECTED
    reading = reading_of(rejection) if rejection and back else seen.reading(revision)
    lines = paragraph(style, _verdict(seen, revision, rejection if back else None, reading))
    lines[0] = lines[0].replace(name, style.paint(name, "bold", "red" if back else looks), 1)
    if reading:
        lines += [
            "",
            *quality(style, name, reading),
            "",
            *facts(style, _numbers(seen, revision, reading, rejection, now)),
        ]
    else:
        lines += ["", *facts(style, [("Model", location(revision.model_uri)), ("Phase", revision.phase.value)])]
    judged = seen.judged(revision)
    for head, texts in (
        ("What is demanded", criteria(judged) if judged else ()),
        ("What would change it", _changes(seen, revision, reading, back=back)),
        ("What to do", _advice(seen, revision, reading, rejection if back else None)),
    ):
        told = list(texts)
        if told:
            lines += ["", style.paint(head, "bold")]
            for text in told:
                lines += paragraph(style, f"- {text}", "  ", "    ")
    return lines


def _verdict(seen: Seen, revision: Revision, rejection: Rejection | None, reading: Reading | None) -> str:
    """Say the verdict in a sentence or two."""
    name, accuracy = seen.short(revision.name), seen.spec.accuracy if seen.spec else None
    if rejection is not None:
        return _taken_back(seen, name, rejection, reading)
    at_work = f"{name} ({revision.phase.value})"
    if accuracy is None:
        return f"{at_work} is not judged: spec.accuracy is not set."
    if revision.gauge is not None and revision.verdict is not Verdict.UNAVAILABLE:
        verdict = revision.verdict.value if revision.verdict else "not judged yet"
        return f"{at_work} is {verdict}: {gauge_words(revision.gauge)}."
    match revision.verdict:
        case Verdict.DEGRADED:
            return f"{at_work} is Degraded: its labels prove that it is worse than demanded."
        case Verdict.HEALTHY:
            return f"{at_work} is Healthy: it has labels enough, and they do not speak against it."
        case Verdict.UNAVAILABLE:
            return f"{at_work} is judged no further: its labels cannot be read, and nothing is concluded from silence."
    if reading is None:
        return f"{at_work} has no verdict: there is nothing to judge it against, or no label was read yet."
    if reading.labels < accuracy.minimum_labels:
        lacking = f"it has {count(reading.labels, 'label')}, and a verdict needs {accuracy.minimum_labels:,}"
        return f"{at_work} is Inconclusive: {lacking}."
    if reading.estimate is not None and reading.estimate >= reading.level:
        return f"{at_work} is Inconclusive: there is no proof either way."
    return f"{at_work} is Inconclusive: it looks worse than demanded, and that may still be chance."


def _taken_back(seen: Seen, name: str, rejection: Rejection, reading: Reading | None) -> str:
    to = f"; {seen.short(rejection.rolled_back_to)} took over" if rejection.rolled_back_to else ""
    when = f"{name} was taken back at {clock(rejection.time)} UTC"
    if rejection.reason is RejectionCause.ABORTED:
        return f"{when}, because its user gave it up{to}."
    if rejection.message is not None:
        return f"{when}: {rejection.message}{to}. Nothing is proven against it."
    proven = ": its labels prove that it is worse than demanded" if reading else ""
    return f"{when}{proven}{to}."


def _numbers(
    seen: Seen, revision: Revision, reading: Reading, rejection: Rejection | None, now: datetime
) -> Iterator[tuple[str, str]]:
    accuracy = seen.spec.accuracy if seen.spec else None
    told = number(rejection.alpha) if rejection and revision.phase is RevisionPhase.REJECTED else None
    alpha = told or _alpha(seen, revision, accuracy)
    yield "Judged", f"{reading.metric}: {_METRICS.get(reading.metric, 'as the operator has it')}"
    yield "Level", f"at least {reading.level:g}, {_origin(accuracy, revision, reading)}"
    yield "Labels", f"{reading.labels:,}, of which {reading.wrong:,} spoke against it"
    if alpha is not None and reading.estimate is not None:
        sure = f"{100 * (1 - alpha):g}%"
        ends = f"{reading.lower:.4f} to {reading.upper:.4f}"
        yield "Interval", f"{ends}: it holds at all times at once with probability {sure}, so look as often as you like"
        yield "Evidence", _evidence(reading, alpha)
        yield (
            "alpha",
            f"{alpha:g}: chance that a revision that is good enough is ever called Degraded, in its whole life",
        )
    yield "Model", location(revision.model_uri)
    if revision.serving_since:
        yield (
            "Served",
            f"from {clock(revision.serving_since)} UTC ({ago(revision.serving_since, now)} ago)"
            + (f" to {clock(revision.serving_until)} UTC" if revision.serving_until else ""),
        )


def _alpha(seen: Seen, revision: Revision, accuracy: Accuracy | None) -> float | None:
    judged = seen.judged(revision)
    if judged is not None and judged.level is not None:
        return judged.level.alpha
    return accuracy.alpha if accuracy else None


def _origin(accuracy: Accuracy | None, revision: Revision, reading: Reading) -> str:
    """Say where a level comes from."""
    if accuracy is None:
        return "as it was demanded then"
    if accuracy.minimum is not None and abs(accuracy.minimum - reading.level) < 1e-6:
        return "which is spec.accuracy.minimum"
    if accuracy.maximum_drop is not None and revision.baseline is not None:
        labels = count(revision.baseline.right + revision.baseline.wrong, "label")
        return (
            f"which is what the {labels} of its predecessor warrant, less spec.accuracy.maximumDrop "
            f"({accuracy.maximum_drop:g}); half of spec.accuracy.alpha is for that"
        )
    return "as it was demanded then"


def _evidence(reading: Reading, alpha: float) -> str:
    """Say how far the evidence is, and what it means."""
    needed = f"a verdict needs 1/alpha = {1 / alpha:,.0f}"
    if reading.proof < _NOTHING:
        return f"bets that it is worse have won nothing so far; {needed} times the stake"
    times = alpha ** -min(reading.proof, 40.0)
    won = f"{times:,.1f}" if times < 1e6 else f"{times:.1e}"
    return f"bets that it is worse have made {won} of 1, {percent(reading.proof)} of the way in logarithms; {needed}"


def _changes(seen: Seen, revision: Revision, reading: Reading | None, *, back: bool) -> Iterator[str]:
    """Say what would lead to another verdict."""
    accuracy = seen.spec.accuracy if seen.spec else None
    if back:
        yield f"nothing by itself: it stays away until another model is applied, or kubectl model retry {seen.name}"
        return
    if accuracy is None or reading is None:
        return
    if revision.verdict is Verdict.DEGRADED:
        yield "nothing: a verdict of Degraded stays, whatever labels come later"
        return
    if reading.labels < accuracy.minimum_labels:
        yield f"Healthy or Degraded is said from {count(accuracy.minimum_labels, 'label')} on"
    elif reading.estimate is not None and reading.estimate < reading.level:
        yield f"Healthy, as soon as all of its labels together come to {reading.level:g} or more"
    judged = seen.judged(revision)
    if judged is None:
        return
    told, serves = [], revision.name == seen.status.serving_revision
    rate = number(seen.status.accuracy.labels_per_hour) if serves and seen.status.accuracy else None
    for drop in _DROPS:
        value = round(reading.level - drop, 4)
        labels = labels_to_proof(judged, value) if value > 0 else None
        if labels is not None:
            needed = max(labels, accuracy.minimum_labels - reading.labels)
            told.append(f"{count(needed, 'label')}{f' ({hours(needed / rate)})' if rate else ''} at {value:g}")
    if told:
        yield f"Degraded, if it were worse from now on: half of the time within {', '.join(told)}"


def _advice(seen: Seen, revision: Revision, reading: Reading | None, rejection: Rejection | None) -> Iterator[str]:
    name, serves = seen.name, revision.name == seen.status.serving_revision
    if rejection is not None:
        yield "apply another model: it is a new revision, and is judged from its own labels"
        if seen.refused is not None and seen.refused.revision == revision.name:
            yield f"if the labels were at fault, correct them and: kubectl model retry {name}"
        return
    if seen.spec is None or seen.spec.accuracy is None:
        yield "set spec.accuracy.minimum to have it judged"
        return
    if revision.verdict is Verdict.DEGRADED and serves:
        if seen.status.standby_revision:
            yield f"kubectl model abort {name} {seen.short(revision.name)} goes back to the last good revision by hand"
        yield "apply a better model; if several fall together, the world has changed rather than a model"
    elif revision.verdict is Verdict.UNAVAILABLE:
        yield f"see why in the condition AccuracyHealthy: kubectl model status {name}"
    elif reading is None and revision.gauge is None:
        yield "send labels: how stands in the README, and the URL in status.endpoint"
    elif reading is not None and reading.labels < seen.spec.accuracy.minimum_labels:
        yield "send more labels, of predictions picked at random rather than of complaints alone"
