"""What a simulation found, as a table and as curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from modeldeployment_operator.cli.simulation import Lives, Setting
from modeldeployment_operator.cli.text import bars
from modeldeployment_operator.cli.text.layout import Cell, Row, table
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.words import hours, percent
from modeldeployment_operator.core.text import count

_CURVE = 60


def simulation(style: Style, setting: Setting, lives: Sequence[Lives], rate: float | None) -> list[str]:
    """Return the table and the curves."""
    runs = lives[0].runs
    what = f"{setting.metric} {_demands(setting)}, alpha {setting.alpha:g}"
    how = f"{count(runs, 'life')} of {count(setting.labels, 'label')} each, a look every {setting.every}"
    how = how.replace("lifes", "lives")
    heads = ["TRUE", "CALLED DEGRADED", "HALF BY", "95% BY"]
    if rate:
        heads += [f"AT {rate:g}/H: HALF", "95%"]
    rows = [_row(setting, one, rate) for one in lives]
    return [
        f"{what}: {how}, seed {setting.seed}",
        "",
        *table(style, heads, rows),
        "",
        "share of the lives that were called Degraded, by labels",
        *_curves(style, setting, lives),
    ]


def _demands(setting: Setting) -> str:
    demands = [] if setting.minimum is None else [f"at least {setting.minimum:g}"]
    if setting.rival is not None:
        beside = f"at most {setting.rival.drop:g} below the {setting.rival.value:g} of who serves"
        demands.append(f"{beside}, in a canary with {setting.rival.weight}% of the labels")
    return " and ".join(demands)


def simulation_document(setting: Setting, lives: Sequence[Lives]) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "metric": setting.metric.value,
        "minimum": setting.minimum,
        "maximumDrop": setting.rival.drop if setting.rival else None,
        "serving": setting.rival.value if setting.rival else None,
        "weight": setting.rival.weight if setting.rival else None,
        "alpha": setting.alpha,
        "minimumLabels": setting.minimum_labels,
        "labels": setting.labels,
        "every": setting.every,
        "seed": setting.seed,
        "results": [
            {
                "true": one.true,
                "good": one.is_good,
                "runs": one.runs,
                "degraded": len(one.found),
                "upper95": round(one.upper, 4),
                "medianLabels": one.quantile(0.5),
                "labels95": one.quantile(0.95),
            }
            for one in lives
        ],
    }


def _row(setting: Setting, lives: Lives, rate: float | None) -> Row:
    share = f"{percent(lives.share)} ({len(lives.found):,} of {lives.runs:,})"
    if lives.is_good:
        share += f", by mistake; at most {100 * lives.upper:.1f}%"
    halves = [lives.quantile(0.5), lives.quantile(0.95)]
    cells: list[Cell | str] = [
        Cell(f"{lives.true:g}", "bold"),
        Cell(share, ("red" if lives.share > setting.alpha else "green") if lives.is_good else ""),
        *(f"{half:,} labels" if half is not None else "never" if lives.is_good else "later" for half in halves),
    ]
    if rate:
        cells += [hours(half / rate) if half is not None else "" for half in halves]
    return cells


def _curves(style: Style, setting: Setting, lives: Sequence[Lives]) -> list[str]:
    """Return a line for each true value over a logarithmic axis of labels."""
    width, least = min(_CURVE, style.width - 12), min(10.0, float(setting.every))
    span = math.log(max(setting.labels, least * 10) / least)
    at = [least * math.exp(span * (place + 1) / width) for place in range(width)]
    lines = []
    for one in lives:
        curve = bars.curve([one.found_by(labels) for labels in at])
        lines.append(f"{one.true:>8g} |{style.paint(curve, 'green' if one.is_good else 'red')}|")
    marks, ends = [" "] * (width + 12), 0
    for power in range(math.ceil(math.log10(least)), math.floor(math.log10(setting.labels)) + 1):
        place = max(0, round(math.log(10**power / least) / span * width) - 1)
        number = f"{10**power:,}"
        if place >= ends and place + len(number) <= len(marks):
            marks[place : place + len(number)] = number
            ends = place + len(number) + 1
    return [*lines, style.paint(" " * 10 + "".join(marks).rstrip(), "dim")]
