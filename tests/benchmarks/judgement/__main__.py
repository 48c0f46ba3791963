"""Lives through whole lives and declines, prints both as tables, and draws them. Run by `make bench-judgement`."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from modeldeployment_operator.core.intervals import clopper_pearson_lower

from tests.benchmarks.judgement import detection, lives, others, work
from tests.benchmarks.judgement.detection import ALPHA, GOOD, LATE, QUALITIES, SUBJECTS, Found
from tests.benchmarks.judgement.picture import draw

RESULT = Path("build/bench/judgement.json")
PICTURE = Path("build/bench/judgement.png")
ALPHAS = (0.2, 0.05, 0.01)
PROVEN = (0.2, 0.05)
"""Those for which there are lives enough to prove them; for the last it would take ten thousand."""
CHUNK = 20
"""Lives that one process lives at a time."""
TABLE = {0.85: (530, 1160), 0.80: (160, 320), 0.70: (50, 100), 0.50: (20, 30)}
LATE_TABLE = {0.85: 1230, 0.80: 370}
"""Medians and 95th percentiles of test A that are to be reached. The latter are known to a look, of 1,000 lives."""
OTHER_LIVES = 300
AGED = LATE // lives.LOOK
OURS = "test A, alpha 0.01"
ALL = "all false rollbacks"

Figures = dict[str, Any]


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.judgement", description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the lives, for a quick look")
    arguments = parser.parse_args(words)
    began = time.monotonic()
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        declines = {subject: _start_declines(pool, subject, arguments.scale) for subject in range(len(SUBJECTS))}
        chunks = [_start_lives(pool, kind, arguments.scale) for kind in range(len(lives.KINDS))]
        figures: Figures = {"rules": _rules(arguments.scale)}
        figures["detection"] = _declines(declines, began)
        figures["lives"] = _lives(chunks, began)
    _print_rules(figures)
    goals = _goals(figures)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"figures": figures, "goals": goals}, indent=2) + "\n", encoding="utf-8")
    _picture(figures)
    print(f"\n{RESULT} and {PICTURE}, after {time.monotonic() - began:.0f} s")
    for goal in goals:
        if not goal["met"]:
            print(f"MISSED {goal['name']}: {goal['value']:g}, at most {goal['goal']:g}")
    print(f"{sum(goal['met'] for goal in goals)} of {len(goals)} goals met")
    return 0 if all(goal["met"] for goal in goals) else 1


def _start_lives(pool: ProcessPoolExecutor, kind: int, scale: float) -> list[Future[list[float]]]:
    number = max(2, round(lives.KINDS[kind].number * scale))
    return [pool.submit(work.live, kind, range(first, min(first + CHUNK, number))) for first in range(0, number, CHUNK)]


def _start_declines(pool: ProcessPoolExecutor, subject: int, scale: float) -> list[Future[dict[float, Found]]]:
    return [pool.submit(work.decline, subject, quality, scale) for quality in (*QUALITIES, None)]


def _rules(scale: float) -> Figures:
    """Rules of others: good models called bad, and labels to detection."""
    number = max(10, round(OTHER_LIVES * scale))
    rng = np.random.default_rng([work.SEED, 2000])
    good = rng.binomial(lives.LOOK, GOOD, (number, lives.LOOKS))
    edge = rng.binomial(lives.LOOK, lives.LEVEL, (number, lives.LOOKS))
    bad = {quality: rng.binomial(lives.LOOK, quality, (number, lives.LOOKS // 5)) for quality in QUALITIES}
    figures: Figures = {}
    for name, rule in others.RULES.items():
        alarms = rule(good, lives.LEVEL)
        figures[name] = {
            "called bad at 0.92": float(np.mean(alarms > 0)),
            "called bad at 0.90": float(np.mean(rule(edge, lives.LEVEL) > 0)),
            "called bad by": [float(np.mean((alarms > 0) & (alarms <= look))) for look in _marks()],
            "labels": {str(q): _cell(rule(labels, lives.LEVEL)) for q, labels in bad.items()},
            "late": {
                str(q): _late_cell(rule(np.hstack([good[:, :AGED], bad[q]]), lives.LEVEL), AGED) for q in LATE_TABLE
            },
        }
    paths = [_path(labels) for labels in good[: max(10, number // 3)].tolist()]
    by = [float(np.mean([path[mark] >= detection.PROOF for path in paths])) for mark in range(len(_marks()))]
    figures[OURS] = {"called bad at 0.92": by[-1], "called bad by": by}
    return figures


def _cell(alarms: others.Alarms) -> list[float] | None:
    """Return median and 95th percentile of the labels to detection; None if half of the lives have none."""
    if np.mean(alarms > 0) < 0.5:
        return None
    labels = np.where(alarms > 0, alarms, np.inf) * lives.LOOK
    return [float(np.median(labels)), float(np.quantile(labels, 0.95, method="lower"))]


def _late_cell(alarms: others.Alarms, aged: int) -> list[float] | None:
    """Return the same of those that were not called bad before; None if these are not one in ten."""
    spared = alarms[(alarms == 0) | (alarms > aged)]
    return _cell(np.where(spared > 0, spared - aged, 0)) if len(spared) >= 0.1 * len(alarms) else None


def _print_rules(figures: Figures) -> None:
    ours = figures["detection"][detection.LEVEL_TEST.name]
    born, aged = ours["from birth"], ours[f"after {LATE:,} good ones"]
    rules = figures["rules"]
    rules[OURS] |= {
        "called bad at 0.90": figures["lives"][lives.KINDS[0].name]["shares"][str(ALPHA)][0],
        "labels": {str(q): [born[str(q)]["median"], born[str(q)]["95th"]] for q in QUALITIES},
        "late": {str(q): [aged[str(q)]["median"], aged[str(q)]["95th"]] for q in LATE_TABLE},
    }
    print(
        f"\nLevel 0.90, a look every {lives.LOOK} labels: models called bad in {lives.LABELS:,} labels, and labels to\n"
        f"detection (median/95th percentile), from birth and late, after {LATE:,} labels at {GOOD}; -: never, or\n"
        "nine in ten were called bad before"
    )
    print(
        f"{'':45}{'at 0.92':>8}{'at 0.90':>8}{_head(QUALITIES)}" + "".join(f"{f'late {q:.2f}':>12}" for q in LATE_TABLE)
    )
    for name, one in rules.items():
        cells = (*one["labels"].values(), *one["late"].values())
        row = "".join(f"{f'{cell[0]:.0f}/{cell[1]:.0f}' if cell else '-':>12}" for cell in cells)
        print(f"{name:45}{one['called bad at 0.92']:8.3f}{one['called bad at 0.90']:8.3f}{row}")


def _marks() -> list[int]:
    """Looks at which the picture has a point."""
    return sorted({round(look) for look in np.geomspace(5, lives.LOOKS, 60)})


def _path(right: list[int]) -> list[float]:
    """Return how far the evidence of one good model got by each mark."""
    test, highest, path, marks = detection.LEVEL_TEST.start, 0.0, [], set(_marks())
    for look, number in enumerate(right, 1):
        test = test.observe(number, lives.LOOK - number)
        highest = max(highest, test.log_e)
        if look in marks:
            path.append(highest)
    return path


def _declines(started: dict[int, list[Future[dict[float, Found]]]], began: float) -> Figures:
    figures: Figures = {}
    print(
        "\nThe candidate's labels to detection, alpha 0.01"
        " (median / 95th percentile; foretold; limit of information ln(1/alpha)/KL)"
    )
    print(f"{'':45}" + _head(QUALITIES, 22))
    for number, futures in started.items():
        subject = SUBJECTS[number]
        born = {quality: found for future in futures[:-1] for quality, found in future.result().items()}
        limits = {quality: detection.PROOF / subject.limit(quality) for quality in QUALITIES}
        figures[subject.name] = {}
        for when, found in (("from birth", born), (f"after {LATE:,} good ones", futures[-1].result())):
            row = "".join(
                f"{f'{one.median:.0f}/{one.slow:.0f}; {one.foretold:.0f}; {limits[quality]:.0f}':>22}"
                for quality, one in found.items()
            )
            print(f"{f'{subject.name},':45}\n{f'    {when}':45}{row}", flush=True)
            figures[subject.name][when] = {
                str(quality): {
                    "median": one.median,
                    "95th": one.slow,
                    "foretold": one.foretold,
                    "limit": limits[quality],
                    "lives": len(one.labels),
                }
                for quality, one in found.items()
            }
    errors = [
        (cell["foretold"] + lives.LOOK / 2) / cell["median"] - 1
        for whens in figures.values()
        for cells in whens.values()
        for cell in cells.values()
    ]
    print(f"foretold and half a look, beside simulated: {min(errors):+.0%} to {max(errors):+.0%}, {_seconds(began)}")
    return figures


def _lives(chunks: list[list[Future[list[float]]]], began: float) -> Figures:
    figures: Figures = {}
    print(
        f"\nFalse rollbacks in {lives.LABELS:,} labels, false promotions in {lives.LABELS // 5:,},"
        " all exactly at the edge of what is good"
    )
    print(
        f"{'share of lives (95 % interval)':45}{'lives':>6}" + "".join(f"{f'alpha {alpha:g}':>26}" for alpha in ALPHAS)
    )
    rollbacks: list[float] = []
    for kind, futures in zip(lives.KINDS, chunks, strict=True):
        highest = [value for future in futures for value in future.result()]
        figures[kind.name] = _row(kind.name, highest, _seconds(began))
        if "mirrored" not in kind.name:
            rollbacks += highest
    figures[ALL] = _row(ALL, rollbacks, "")
    return figures


def _row(name: str, highest: Sequence[float], note: str) -> Figures:
    """Print a line of the table, and return what it says."""
    errors = {alpha: sum(value >= -math.log(alpha) for value in highest) for alpha in ALPHAS}
    cells = {alpha: _share(number, len(highest)) for alpha, number in errors.items()}
    row = "".join(f"{f'{share:.4f} ({low:.4f}-{high:.4f})':>26}" for share, low, high in cells.values())
    print(f"{name:45}{len(highest):6}{row}   {note}", flush=True)
    return {"lives": len(highest), "shares": {str(alpha): cell for alpha, cell in cells.items()}}


def _share(errors: int, number: int) -> tuple[float, float, float]:
    """Return a share with the interval of Clopper and Pearson."""
    low = clopper_pearson_lower(errors, number, 0.025)
    return errors / number, low, 1.0 - clopper_pearson_lower(number - errors, number, 0.025)


def _goals(figures: Figures) -> list[Figures]:
    """Return what is to be reached: no kind of life refutes alpha, all together prove it, declines are found soon."""
    found = [
        (f"{name}, alpha {alpha}, lower end of the share's interval", low, float(alpha))
        for name, one in figures["lives"].items()
        for alpha, (_, low, _) in one["shares"].items()
    ]
    together = figures["lives"][ALL]["shares"]
    found += [(f"{ALL}, alpha {alpha}", share, float(alpha)) for alpha, (share, _, _) in together.items()]
    found += [
        (f"{ALL}, alpha {alpha}, upper end of the share's interval", together[str(alpha)][2], alpha) for alpha in PROVEN
    ]
    ours = figures["rules"][OURS]
    for quality, (middle, slow) in TABLE.items():
        median, percentile = ours["labels"][str(quality)]
        found.append((f"labels to {quality}, median", median, middle))
        found.append((f"labels to {quality}, 95th percentile", percentile, slow + lives.LOOK))
    found += [
        (f"labels to {quality}, late, median", ours["late"][str(quality)][0], most)
        for quality, most in LATE_TABLE.items()
    ]
    return [{"name": name, "value": value, "goal": most, "met": value <= most} for name, value, most in found]


def _picture(figures: Figures) -> None:
    rules = figures["rules"]
    shown = {
        "this operator": rules[OURS],
        "gauge of 500, 5 failures (Flagger)": rules["gauge of 500, 5 failures (Flagger)"],
        "gauge of 500, first failure (Argo Rollouts)": rules["gauge of 500, first failure (Argo Rollouts)"],
        "gauge of 2000, first failure": rules["gauge of 2000, first failure"],
    }
    ours = figures["detection"][detection.LEVEL_TEST.name]
    labels = {
        "this operator, bad from birth": {q: ours["from birth"][str(q)]["median"] for q in QUALITIES},
        f"this operator, bad after {LATE:,} good labels": {
            q: ours[f"after {LATE:,} good ones"][str(q)]["median"] for q in QUALITIES
        },
        "limit of information, ln(1/alpha)/KL": {q: ours["from birth"][str(q)]["limit"] for q in QUALITIES},
    }
    called = {name: one["called bad by"] for name, one in shown.items()}
    draw(called, [look * lives.LOOK for look in _marks()], labels, ALPHA, PICTURE)


def _head(qualities: Iterable[float], width: int = 12) -> str:
    return "".join(f"{f'true {quality:.2f}':>{width}}" for quality in qualities)


def _seconds(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
