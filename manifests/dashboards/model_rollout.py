"""How a new revision comes to the traffic, beside the one that serves."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units

from manifests.dashboards.panels import NONE, AnyPanel, Query, Text, graph, timeline
from manifests.dashboards.queries import MODEL, REVISIONS, coded, largest, share, total
from manifests.dashboards.states import ACTIONS, BAD, GOOD, codes

NAME: Final = "{{revision}}"
NOT_UNDER_WAY: Final = f"{NONE}no rollout was under way"
NO_COPIES: Final = f"{NONE}no copies of requests were sent"
_CANDIDATE: Final = 'candidate=~"$revision"'


def rollout() -> list[AnyPanel]:
    """Return the shares of both, what their labels say side by side, copies, and what was decided."""
    return [_shares(), _values(), _steps(), _pairs(), _copies(), _situations(), _decisions()]


def _shares() -> AnyPanel:
    return graph(
        Text(
            "Share of the requests",
            "What each revision answers, and what a new one is to answer at its step. Normal: both the same within a "
            "minute. If a share stays behind its step, a pod or the route does not follow.",
            f"{NONE}nothing serves, and no rollout was under way",
        ),
        units.PercentUnit,
        [
            Query(largest("modeldeployment_traffic_ratio", "revision", REVISIONS), NAME),
            Query(largest("modeldeployment_rollout_weight_ratio", "revision", REVISIONS), f"{NAME}: its step"),
        ],
        span=12,
        maximum=1,
    )


def _values() -> AnyPanel:
    return graph(
        Text(
            "Judged value, side by side",
            "What is judged, over all labels of the revision that serves and of one on its way to the traffic. "
            "Normal: close together, and above the limits. What is proven is in the row Judgement, evidence.",
            f"{NONE}no labels yet",
        ),
        units.PercentUnit,
        [
            Query(largest("modeldeployment_accuracy_estimate", "revision", REVISIONS), NAME),
            Query(largest("modeldeployment_accuracy_level", "revision", REVISIONS), f"{NAME}: limit"),
        ],
        span=12,
        minimum=None,
        maximum=1,
    )


def _steps() -> AnyPanel:
    return graph(
        Text(
            "Steps of the rollout",
            "The step that a new revision is at, and how many there are. Normal: it goes up to the last one, and "
            "ends. The condition Ready says what a step waits for.",
            NOT_UNDER_WAY,
        ),
        units.NoUnit,
        [
            Query(largest("modeldeployment_rollout_step", "revision", REVISIONS), f"{NAME}: step"),
            Query(largest("modeldeployment_rollout_steps", "revision", REVISIONS), f"{NAME}: steps"),
        ],
    )


def _pairs() -> AnyPanel:
    return graph(
        Text(
            "Pairs: the same request, both revisions",
            "Labels of requests that a candidate has answered from a copy: won if it alone was right, lost if only "
            "the one that serves was, tied otherwise. Normal: no more lost than won.",
            NO_COPIES,
        ),
        units.Short,
        [Query(total("model_pairs_total", "candidate, outcome", MODEL, _CANDIDATE), "{{candidate}}: {{outcome}}")],
    )


def _copies() -> AnyPanel:
    same = total("model_copies_compared_total", "candidate", MODEL, _CANDIDATE, 'outcome="same"')
    every = total("model_copies_compared_total", "candidate", MODEL, _CANDIDATE)
    return graph(
        Text(
            "Copies with the same answer",
            "Share of the copied requests that a candidate has predicted as the revision that serves did. Normal: what "
            "you expect of the change; labels say which of the two is right.",
            NO_COPIES,
        ),
        units.PercentUnit,
        [Query(share(same, every), "{{candidate}}")],
        maximum=1,
    )


def _situations() -> AnyPanel:
    return timeline(
        Text(
            "Situations and what is done about them",
            "What spec.policies speaks of: Drift, SourceDown, and others. Normal: none. The condition NeedsAttention "
            "says what was seen.",
            f"{NONE}nothing that a policy speaks of",
        ),
        Query(
            coded("modeldeployment_situation", "revision, situation", "action", codes(ACTIONS), REVISIONS),
            "{{revision}}: {{situation}}",
        ),
        ACTIONS,
        height=8,
    )


def _decisions() -> AnyPanel:
    return graph(
        Text(
            "Decisions",
            "Decisions that were recorded as ModelVerdicts, since the operator started: see kubectl model history. "
            "Normal: Promoted, and few others.",
        ),
        units.Short,
        [Query(total("modeldeployment_decisions_total", "outcome", MODEL), "{{outcome}}")],
        span=12,
        colours={"Promoted": GOOD, "RolledBack": BAD},
    )
