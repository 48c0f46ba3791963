"""How many more labels it would take to prove a revision worse, if it were so bad from now on. Pure."""

from __future__ import annotations

import math

from modeldeployment_operator.core.evidence import Evidence, labels_until_drop
from modeldeployment_operator.core.findings import bets_against
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.metrics import share_of


def labels_to_proof(judged: Judged, value: float) -> int | None:
    """Return within how many more labels of this value of the metric the proof is there, half of the time.

    None if it never is.
    """
    if judged.level is None or judged.state is None:
        return None
    level = judged.level
    bets = bets_against(judged.state, level.value)
    if bets is None:
        return None
    evidence = Evidence(share_of(level.metric, level.value), float(judged.labels), bets)
    labels = labels_until_drop(evidence, share_of(level.metric, value), level.alpha * level.weight)
    return math.ceil(labels) if math.isfinite(labels) else None
