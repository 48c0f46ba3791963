"""How often a good model is called bad, and how soon a bad one: a gauge with a threshold against the sequential test.

A life is 100,000 labels with a look every ten. The gauge is the accuracy over the last 500 labels, and calls a model
bad when it is below the level. Run by `make bench-judgement`.
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from random import Random

from modeldeployment_operator.core.evidence import Evidence

LEVEL, ALPHA, MINIMUM_LABELS = 0.90, 0.01, 30
LABELS, STEP, WINDOW = 100_000, 10, 500
GOOD_LIVES, BAD_LIVES = 100, 200
RESULT = Path("build/bench/judgement.json")


def gauge_alarm(accuracy: float, random: Random, labels: int) -> int | None:
    """Return the label at which the gauge calls a model bad; None if it never does."""
    window: list[int] = []
    for seen in range(STEP, labels + 1, STEP):
        window = [*window, sum(random.random() < accuracy for _ in range(STEP))][-WINDOW // STEP :]
        if len(window) * STEP == WINDOW and sum(window) / WINDOW < LEVEL:
            return seen
    return None


def test_alarm(accuracy: float, random: Random, labels: int) -> int | None:
    """Return the label at which the sequential test calls a model bad; None if it never does."""
    evidence = Evidence.start(LEVEL)
    for seen in range(STEP, labels + 1, STEP):
        correct = sum(random.random() < accuracy for _ in range(STEP))
        evidence = evidence.observe(correct, STEP - correct)
        if seen >= MINIMUM_LABELS and evidence.log_e >= -math.log(ALPHA):
            return seen
    return None


def main() -> None:
    """Print the figures and write them down."""
    figures: dict[str, float] = {}
    for name, alarm in (("gauge", gauge_alarm), ("test", test_alarm)):
        random = Random(1)
        false = [alarm(0.92, random, LABELS) is not None for _ in range(GOOD_LIVES)]
        figures[f"{name}, false alarms, true accuracy 0.92"] = sum(false) / GOOD_LIVES
        for accuracy in (0.80, 0.70):
            found = [alarm(accuracy, random, LABELS) or LABELS for _ in range(BAD_LIVES)]
            figures[f"{name}, labels to detection (median), true accuracy {accuracy}"] = statistics.median(found)
    for what, figure in figures.items():
        print(f"{what:60} {figure:10g}")
    value = figures["test, false alarms, true accuracy 0.92"]
    goal = {"name": "false alarms of the test", "value": value, "goal": ALPHA, "met": value <= ALPHA}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"figures": figures, "goals": [goal]}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
