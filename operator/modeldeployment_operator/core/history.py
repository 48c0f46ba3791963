"""Which revisions are remembered."""

from __future__ import annotations

from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.observation import Observation, StoredRevision


def recorded(observation: Observation, decision: Decision) -> dict[str, StoredRevision]:
    """Return the records that are, and that of a new revision, with the next number.

    One that is given up before it ran has a record, too: it says so, should the status be lost.
    """
    known = dict(observation.stored)
    wish = observation.desired
    is_given_up = decision.rejection is not None and decision.rejection.revision == wish.name
    if (wish.name in decision.running or is_given_up) and wish.name not in known:
        number = max((stored.number for stored in known.values()), default=0) + 1
        known[wish.name] = StoredRevision(number, wish.template)
    return known


def kept(observation: Observation, decision: Decision) -> frozenset[str]:
    """Return the revisions to keep: all that run or are wished for, and the newest of the others.

    The last good one and what the spec asks for now are kept whatever the limit is: to go back to the first, and to
    know why the second was rejected.
    """
    needed = set(decision.running) | {observation.desired.name}
    needed |= {name for name in (decision.standby, decision.serving) if name}
    others = [name for name in observation.stored if name not in needed]
    others.sort(key=lambda name: observation.stored[name].number, reverse=True)
    return frozenset(needed | set(others[: observation.spec.revision_history_limit]))
