"""What labels prove, whenever and however often one looks: nonnegative supermartingales that start at 1.

Each test takes numbers and returns a frozen state with `log_e`, the natural logarithm of its evidence. Under its null
hypothesis it ever reaches ln(1/alpha) with probability at most alpha (Ville's inequality). No clock, no IO.
"""

from __future__ import annotations

from modeldeployment_operator.core.evidence.combination import (
    Combined,
    Part,
    combine,
    even_weights,
    slice_weights,
    weakest,
)
from modeldeployment_operator.core.evidence.comparison import Comparison, Labels
from modeldeployment_operator.core.evidence.feasibility import (
    labels_until_drop,
    labels_until_lower_mean,
    labels_until_worse_than_stable,
    pairs_until_proof,
)
from modeldeployment_operator.core.evidence.level import Evidence
from modeldeployment_operator.core.evidence.paired import Paired
from modeldeployment_operator.core.evidence.scores import Scores

__all__ = [
    "Combined",
    "Comparison",
    "Evidence",
    "Labels",
    "Paired",
    "Part",
    "Scores",
    "combine",
    "even_weights",
    "labels_until_drop",
    "labels_until_lower_mean",
    "labels_until_worse_than_stable",
    "pairs_until_proof",
    "slice_weights",
    "weakest",
]
