"""All models in a table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.text import bars
from modeldeployment_operator.cli.text.layout import Cell, Row, table
from modeldeployment_operator.cli.text.model import LOOKS, VERDICTS
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.words import ago, percent
from modeldeployment_operator.core.overview import Query, overview


def fleet(style: Style, models: Iterable[Seen], now: datetime, *, everywhere: bool) -> list[str]:
    """Return a line for each model, the worst first."""
    known = {seen.key: seen for seen in models}
    if not known:
        where = "in any namespace" if everywhere else "in this namespace (-A shows all)"
        return [f"no ModelDeployments {where}"]
    view = overview([seen.row for seen in known.values()], Query())
    ordered = [row.key for row in view.rows]
    ordered += sorted(known.keys() - set(ordered))  # Beyond the first page.
    heads = ["NAMESPACE", "NAME", "STATE", "SERVING", "PODS", "ACCURACY", "LABELS", "VERDICT", "PROOF", "ON ITS WAY"]
    rows = [_row(known[key], now) for key in ordered]
    if not everywhere:
        heads, rows = heads[1:], [row[1:] for row in rows]
    words = ", ".join(f"{number} {state.words.lower()}" for state, number in view.states.items())
    return [*table(style, heads, rows), "", style.paint(words, "dim")]


def _row(seen: Seen, now: datetime) -> Row:
    row, serving = seen.row, seen.row.serving
    quality = row.quality
    judged = quality if quality and quality.estimate is not None else None
    return [
        seen.key.namespace,
        Cell(seen.name, "bold"),
        Cell(row.state.words, LOOKS[row.state]),
        seen.short(serving.name) if serving else "",
        f"{serving.ready_replicas}/{serving.replicas}" if serving else "",
        f"{judged.estimate:.4f} (>={judged.level:g})" if judged else "",
        f"{judged.told.labels:,}" if judged else "",
        Cell(row.verdict, VERDICTS.get(serving.verdict, "") if serving and serving.verdict else ""),
        f"{bars.bar(judged.evidence, 6)} {percent(min(1.0, judged.evidence))}" if judged else "",
        _on_its_way(seen, now),
    ]


def _on_its_way(seen: Seen, now: datetime) -> str:
    rollout = seen.status.rollout
    if rollout is not None:
        return f"{seen.short(rollout.revision)} {rollout.weight}%, step {rollout.step}/{rollout.steps}"
    if seen.status.candidate_revision:
        return f"{seen.short(seen.status.candidate_revision)} starts"
    if seen.refused:
        return f"{seen.short(seen.refused.revision)} taken back {ago(seen.refused.time, now)} ago"
    return ""
