"""PromQL, put together from parts. Names and labels are those of operator/METRICS.md.

Counters and gauges of pods are one series a pod: everything here adds them up by what the panel tells apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MODELS: Final = 'namespace=~"$namespace"'
"""The models of the fleet that are chosen."""
MODEL: Final = 'namespace="$namespace", model="$model"'
"""One model."""
REVISIONS: Final = f'{MODEL}, revision=~"$revision"'
"""The revisions of one model that are chosen."""
PREDICTIONS: Final = 'method="predict"'
ERRORS: Final = 'code=~"5.."'

KEY: Final = "namespace, model"
REVISION_KEY: Final = "namespace, model, revision"


def matching(*matchers: str) -> str:
    """Join matchers to a selector."""
    return "{" + ", ".join(matcher for matcher in matchers if matcher) + "}"


def total(metric: str, by: str, *matchers: str) -> str:
    """Add up over what `by` does not name."""
    return f"sum by ({by}) ({metric}{matching(*matchers)})"


def largest(metric: str, by: str, *matchers: str) -> str:
    """Take one of several equal series, as there are when the operator's pod is replaced."""
    return f"max by ({by}) ({metric}{matching(*matchers)})"


def rate(metric: str, by: str, *matchers: str) -> str:
    """Increase of a counter in a second."""
    return f"sum by ({by}) (rate({metric}{matching(*matchers)}[$__rate_interval]))"


def increase(metric: str, by: str, window: str, *matchers: str) -> str:
    """Increase of a counter over a window."""
    return f"sum by ({by}) (increase({metric}{matching(*matchers)}[{window}]))"


def quantile(share: float, histogram: str, by: str, *matchers: str) -> str:
    """Quantile of a histogram of now."""
    of = ", ".join(part for part in ("le", by) if part)
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', of, *matchers)})"


def mean(histogram: str, by: str, *matchers: str) -> str:
    """Mean of a histogram of now."""
    return f"{rate(f'{histogram}_sum', by, *matchers)} / {rate(f'{histogram}_count', by, *matchers)}"


def share(part: str, whole: str) -> str:
    """Divide, where a part that never was counts as 0."""
    return f"({part} or {whole} * 0) / {whole}"


def serving(vector: str, *matchers: str) -> str:
    """Keep the revisions that serve."""
    selector = matching('phase="Serving"', *matchers)
    return f"{vector} and on ({REVISION_KEY}) modeldeployment_revision_info{selector}"


def of_serving(metric: str, by: str, *matchers: str) -> str:
    """Take a value of the revision that serves."""
    return f"max by ({by}) ({serving(metric + matching(*matchers), matchers[0])})"


def or_zero(number: str) -> str:
    """Say 0 where counting finds nothing."""
    return f"{number} or vector(0)"


def coded(metric: str, by: str, label: str, codes: Mapping[str, int], *matchers: str) -> str:
    """Turn a label's value into a number: the code of the state that holds, the highest if two do."""
    highest_first = sorted(codes.items(), key=lambda state: -state[1])
    selected = ((code, f'{label}="{value}"') for value, code in highest_first)
    return " or ".join(f"{largest(metric, by, *matchers, matcher)} * {code}" for code, matcher in selected)


def last(metric: str, by: str, *matchers: str) -> str:
    """Add up what each pod said last in the time that is shown, gone ones, too."""
    return f"sum by ({by}) (last_over_time({metric}{matching(*matchers)}[$__range]))"


def same_class(confusion: str, actual: str) -> str:
    """Keep the right predictions of a confusion matrix: those whose `predicted` is their `actual`."""
    return f"{confusion} and on (revision, actual, predicted) {as_predicted(actual)}"


def as_predicted(actual: str) -> str:
    """Call the label `actual` `predicted`, so that shares of both go together."""
    return f'label_replace({actual}, "predicted", "$1", "actual", "(.+)")'
