"""Each demand on a revision, what its labels have come to, and how far that is a proof by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator

from modeldeployment_operator.api.status import CriterionKind
from modeldeployment_operator.cli.text.words import percent
from modeldeployment_operator.core.findings import Finding
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.text import count


def criteria(judged: Judged) -> Iterator[str]:
    """Return a sentence for each criterion, the one that speaks most against the revision first; none for a single one.

    A criterion is a proof by itself if its share of the evidence is; together they may be one sooner.
    """
    if len(judged.findings) < 2 or judged.level is None:
        return
    for finding in judged.findings:
        if finding.criterion.value is None:
            yield f"{finding.criterion.demand}: not judged yet"
            continue
        alone = (finding.log_e + math.log(finding.criterion.weight)) / judged.level.proof
        share = percent(max(0.0, min(1.0, alone)))
        yield f"{finding.criterion.demand}: {_came_to(finding)}; {share} of proof by itself"


def _came_to(finding: Finding) -> str:
    if not finding.labels:
        return "nothing to judge yet"
    if finding.criterion.kind is CriterionKind.PAIRED:
        return f"of {count(finding.labels, 'pair')} won {finding.right:,}, lost {finding.wrong:,}"
    told = f"{finding.estimate:.4f} from {count(finding.labels, 'label')}"
    return f"{told}, against {finding.stable:.4f}" if finding.stable is not None else told
