"""What a policy would have done, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from modeldeployment_operator.cli.backtest import Life, Mark, Outcome
from modeldeployment_operator.cli.policy import words
from modeldeployment_operator.cli.text import bars
from modeldeployment_operator.cli.text.layout import paragraph
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.words import percent, span
from modeldeployment_operator.core.text import count, timestamp

_GAPS_SHOWN = 5


def backtest(style: Style, outcome: Outcome) -> list[str]:
    """Return what would have become of each revision."""
    counts = outcome.recording.counts
    lines = [
        f"policy: {words(outcome.accuracy)}",
        f"{count(len(counts), 'reading')} from {_clock(counts[0].time)} to {_clock(counts[-1].time)} UTC",
    ]
    for life in outcome.lives:
        lines += ["", *_life(style, life)]
    notes = list(_notes(outcome))
    return [*lines, "", *notes] if notes else lines


def backtest_document(outcome: Outcome) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "policy": outcome.accuracy.model_dump(mode="json", by_alias=True, exclude_none=True),
        "readings": len(outcome.recording.counts),
        "restarts": outcome.recording.restarts,
        "unusable": outcome.recording.unusable,
        "gaps": [{"from": timestamp(early), "to": timestamp(late)} for early, late in outcome.gaps],
        "revisions": [
            {
                "revision": life.revision,
                "from": timestamp(life.first),
                "to": timestamp(life.last),
                "level": life.level,
                "labels": life.labels,
                "wrong": life.wrong,
                "verdict": life.judged.verdict.value if life.judged else None,
                "healthy": _document(life.healthy),
                "degraded": _document(life.degraded),
                "rolledBackTo": life.back_to,
            }
            for life in outcome.lives
        ],
    }


def _document(mark: Mark | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    return {
        "time": timestamp(mark.time),
        "labels": mark.labels,
        "wrong": mark.wrong,
        "estimate": round(mark.estimate, 6),
        "lower": round(mark.lower, 6),
        "upper": round(mark.upper, 6),
        "logE": round(mark.log_e, 3),
    }


def _life(style: Style, life: Life) -> list[str]:
    name, look = life.revision, "red" if life.degraded else "green" if life.healthy else "yellow"
    lines = paragraph(style, _sentence(life))
    lines[0] = lines[0].replace(name, style.paint(name, "bold", look), 1)
    if life.path:
        most = max(proof for _, proof in life.path)
        width = min(60, style.width - 40)
        curve = style.paint(bars.curve(_binned(life, width)), look)
        words = "which is proof" if most >= 1 else f"{percent(most)} of proof at most"
        lines.append(f"  evidence that it is worse |{curve}| {words}")
    if life.degraded is not None and life.labels > life.degraded.labels:
        labels, wrong = life.labels - life.degraded.labels, life.wrong - life.degraded.wrong
        lines += paragraph(style, f"after that it had {count(labels, 'label')} more, {wrong:,} of them wrong", "  ")
    return lines


def _sentence(life: Life) -> str:
    """Say what would have become of a revision."""
    name = life.revision
    if life.judged is None or life.level is None:
        return f"{name}: not judged: there is no level, as there was no predecessor with labels; give --minimum"
    if life.degraded is not None:
        mark, passed = life.degraded, span(life.degraded.time - life.first)
        facts = f"{mark.estimate:.4f} [{mark.lower:.4f}, {mark.upper:.4f}] from {count(mark.labels, 'label')}"
        if life.back_to:
            done = f"taken back at {_clock(mark.time)}, {passed} after its first reading; {life.back_to} serves again"
        else:
            done = f"Degraded at {_clock(mark.time)}, {passed} after its first reading, with nothing good to go back to"
        return f"{name}: {done}: {facts}, should be at least {life.level:g}"
    estimate = life.judged.estimate
    if estimate is None:
        return f"{name}: Inconclusive: no labels"
    facts = f"{estimate:.4f} from {count(life.labels, 'label')} in the end, should be at least {life.level:g}"
    if life.healthy is not None:
        since = f"first Healthy at {_clock(life.healthy.time)}, after {count(life.healthy.labels, 'label')}"
        return f"{name}: serves on; {since}: {facts}"
    return f"{name}: serves on, Inconclusive: {facts}"


def _binned(life: Life, width: int) -> Sequence[float]:
    """Return the highest evidence in each part of the time; where there is no reading, that of before."""
    whole = (life.last - life.first).total_seconds() or 1.0
    bins: list[float | None] = [None] * width
    for time, proof in life.path:
        place = min(width - 1, int((time - life.first).total_seconds() / whole * width))
        bins[place] = max(proof, bins[place] or 0.0)
    filled, last = [], 0.0
    for one in bins:
        last = last if one is None else one
        filled.append(last)
    return filled


def _notes(outcome: Outcome) -> list[str]:
    notes = []
    if outcome.recording.restarts:
        times = "once" if outcome.recording.restarts == 1 else f"{outcome.recording.restarts:,} times"
        notes.append(f"counting began anew {times}: labels that no reading saw are lost, which costs power alone")
    if outcome.recording.unusable:
        notes.append(f"{count(outcome.recording.unusable, 'scrape')} left out, as they were not whole")
    for early, late in outcome.gaps[:_GAPS_SHOWN]:
        notes.append(f"nothing was recorded for {span(late - early)} from {_clock(early)}: that counts as one step")
    if len(outcome.gaps) > _GAPS_SHOWN:
        notes.append(f"and {len(outcome.gaps) - _GAPS_SHOWN} more such gaps")
    return notes


def _clock(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
