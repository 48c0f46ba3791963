"""An HTTPRoute as it is: what share of the requests it gives a revision, and whether its Gateways have taken it.

A list of rules has one owner in the API, so whoever writes one writes all. The operator knows its own by their names:
the rules that it makes, and backends that are Services of the model. All else of a route is others', and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from modeldeployment_operator.core import names

Rule = Mapping[str, Any]
Backend = Mapping[str, Any]

SCALE: Final = 100
"""By which the weight of a Service is multiplied while it is divided: so each percent is exact, and what it was is
known again afterwards."""
PREDICTIONS: Final = "predictions"
LABELS: Final = "labels"
GRPC: Final = "grpc"
GRPC_LABELS: Final = "grpc-labels"
_FOR_LABELS: Final = frozenset({LABELS, GRPC_LABELS})
_MOST: Final = 1_000_000
"""Largest weight that the API has."""
_ACCEPTED: Final = ("Accepted", "ResolvedRefs")
_DEFAULT_GROUP: Final = "gateway.networking.k8s.io"
_REVISIONS_SERVICE: Final = re.compile(r"-[0-9a-z]+-g")


class Acceptance(Enum):
    """What Gateways say of a route."""

    YES = "yes"
    UNKNOWN = "unknown"
    """At least one has not looked at it as it is now."""
    NO = "no"


@dataclass(frozen=True)
class Route:
    """An HTTPRoute that was seen."""

    rules: Sequence[Rule]
    acceptance: Acceptance
    words: str = ""
    """Who has not accepted it, and why."""
    version: str = field(default="", compare=False)
    """The resourceVersion."""


def read_route(body: Mapping[str, Any]) -> Route:
    """Read an HTTPRoute."""
    acceptance, words = _acceptance(body)
    return Route(tuple(body["spec"].get("rules", ())), acceptance, words, body["metadata"]["resourceVersion"])


def shares(rules: Iterable[Rule], model: str, revision: str) -> tuple[int, int]:
    """Return the percent of a model's requests that go to a revision: in the rule with the fewest, and the most."""
    every = (_share(rule, model, revision) for rule in rules if is_divided(rule, model))
    found = sorted(round(100 * one) for one in every if one is not None) or [0]
    return found[0], found[-1]


def led_to(route: Route, model: str) -> frozenset[str]:
    """Return the revisions that a route sends requests to by Services of their own."""
    found = (one for rule in route.rules for one in backends(rule) if _is_own(one) and _weight(one))
    own = frozenset(one["name"] for one in found if _is_revisions(one["name"], model))
    return frozenset(name.removesuffix(names.gateway_service("")) for name in own)


def divided(rule: Rule, model: str, candidate: str | None, percent: int) -> list[dict[str, Any]]:
    """Return the backends of a rule with so many percent of what the model gets for a candidate.

    All other backends keep their weights, and the model's stays the same in sum. Where the model is alone, its weight
    is multiplied, so that any number of percent is exact; beside others it is divided as it is. What somebody has
    changed meanwhile is taken as it is: no backend that had requests is left without, and once written it stays.
    """
    alone = all(is_models(backend, model) for backend in backends(rule))
    wholes = _wholes(rule, model)
    divide = bool(candidate and percent)
    if alone and any(_is_revisions(one["name"], model) for one in backends(rule)):
        # All or none: or their proportion would be another one.
        exact = all(whole % SCALE == 0 for whole in wholes.values())
        wholes = {place: whole // SCALE if exact else whole for place, whole in wholes.items()}
    if divide and alone and all(whole * SCALE <= _MOST for whole in wholes.values()):
        wholes = {place: whole * SCALE for place, whole in wholes.items()}
    wanted: list[dict[str, Any]] = []
    for place, backend in enumerate(backends(rule)):
        if not is_models(backend, model):
            wanted.append(dict(backend))
        elif place in wholes:
            given = _part(wholes[place], percent) if divide else 0
            wanted.append({**backend, "weight": wholes[place] - given})
            if candidate and divide:
                wanted.append({**backend, "name": names.gateway_service(candidate), "weight": given})
    return wanted


def _wholes(rule: Rule, model: str) -> dict[int, int]:
    """Return by place what each backend that is the model has, together with those that a part was given to.

    Such a one stands behind it. Of two that have the same port, each has its own: no weight counts twice.
    """
    every = list(enumerate(backends(rule)))
    wholes = {place: _weight(one) for place, one in every if is_models(one, model) and one["name"] == model}
    for place, part in every:
        if _is_own(part) and _is_revisions(part["name"], model):
            same = [of for of in wholes if every[of][1].get("port") == part.get("port")]
            if same:
                wholes[max((of for of in same if of < place), default=same[0])] += _weight(part)
    return {place: min(whole, _MOST) for place, whole in wholes.items()}


def _part(whole: int, percent: int) -> int:
    """Return so many percent of a weight, or fewer if it cannot be divided so: nobody gets more than its step."""
    part = round(whole * percent / 100)
    return part if whole and round(100 * part / whole) <= percent else whole * percent // 100


def backends(rule: Rule) -> Sequence[Backend]:
    """Return where a rule sends requests."""
    found: Sequence[Backend] = rule.get("backendRefs", ())
    return found


def is_divided(rule: Rule, model: str) -> bool:
    """Return whether what a rule sends to a model is divided; labels are not."""
    return refers_to(rule, model) and rule.get("name") not in _FOR_LABELS


def refers_to(rule: Rule, model: str) -> bool:
    """Return whether a rule sends requests to the Service of a model."""
    return any(_is_own(backend) and backend["name"] == model for backend in backends(rule))


def _share(rule: Rule, model: str, revision: str) -> float | None:
    """Return None for a rule that has nothing to do with the model, or gives it no requests."""
    mine = [backend for backend in backends(rule) if is_models(backend, model)]
    whole = sum(map(_weight, mine))
    if not whole:
        return None
    return sum(_weight(one) for one in mine if one["name"] == names.gateway_service(revision)) / whole


def _weight(backend: Backend) -> int:
    weight: int = backend.get("weight", 1)
    return weight


def _is_own(backend: Backend) -> bool:
    """Return whether it is a Service of the route's namespace."""
    return not backend.get("group") and backend.get("kind", "Service") == "Service" and "namespace" not in backend


def is_models(backend: Backend, model: str) -> bool:
    """Return whether a backend is a Service of the model, or of one of its revisions."""
    return _is_own(backend) and (backend["name"] == model or _is_revisions(backend["name"], model))


def _is_revisions(name: str, model: str) -> bool:
    return name.startswith(model) and _REVISIONS_SERVICE.fullmatch(name, len(model)) is not None


def _acceptance(body: Mapping[str, Any]) -> tuple[Acceptance, str]:
    """Return what all Gateways of a route say together: a refusal comes before silence."""
    metadata, parents = body["metadata"], body.get("status", {}).get("parents", ())
    answers = [_answer(metadata, wanted, parents) for wanted in body["spec"].get("parentRefs", ())]
    for acceptance in (Acceptance.NO, Acceptance.UNKNOWN):
        words = [said for answer, said in answers if answer is acceptance]
        if words:
            return acceptance, "; ".join(words)
    return (Acceptance.YES, "") if answers else (Acceptance.UNKNOWN, "it names no Gateway")


def _answer(
    metadata: Mapping[str, Any], wanted: Mapping[str, Any], parents: Iterable[Mapping[str, Any]]
) -> tuple[Acceptance, str]:
    """Return what one Gateway says."""
    here = metadata["namespace"]
    who = f"{wanted.get('kind', 'Gateway')} {wanted.get('namespace', here)}/{wanted['name']}"
    found = [one for one in parents if _same(one["parentRef"], wanted, here)]
    if not found:
        return (
            Acceptance.UNKNOWN,
            f"{who} has not looked at it: is there such a Gateway, and a controller of its class?",
        )
    # A controller that was replaced may leave what it said.
    conditions = max((_by_type(one) for one in found), key=_looked_at)
    for kind in _ACCEPTED:
        said = conditions.get(kind)
        if said is None or said.get("observedGeneration", 0) < metadata.get("generation", 0):
            return Acceptance.UNKNOWN, f"{who} has not looked at it since it was changed"
        if said["status"] != "True":
            return Acceptance.NO, f"{who} says {kind}={said['status']}, {said['reason']}: {said.get('message', '')}"
    return Acceptance.YES, ""


def _by_type(parent: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {condition["type"]: condition for condition in parent.get("conditions", ())}


def _looked_at(conditions: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the latest generation of a route that these are about."""
    return max((conditions[kind].get("observedGeneration", 0) for kind in _ACCEPTED if kind in conditions), default=-1)


def _same(one: Mapping[str, Any], other: Mapping[str, Any], here: str) -> bool:
    return _parent(one, here) == _parent(other, here)


def _parent(reference: Mapping[str, Any], here: str) -> tuple[Any, ...]:
    return (
        reference.get("group", _DEFAULT_GROUP),
        reference.get("kind", "Gateway"),
        reference.get("namespace", here),
        reference["name"],
        reference.get("sectionName"),
        reference.get("port"),
    )
