"""What the API server was asked for, by its own log, and what roles allow: each in the words of RBAC."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.integration.kustomize import Document

CREATED = 201


@dataclass(frozen=True, order=True)
class Request:
    """Something that was asked for."""

    group: str
    resource: str
    """Plural, with its subresource."""
    verb: str
    namespace: str
    name: str
    allowed: bool


@dataclass(frozen=True, order=True)
class Right:
    """One verb of one resource that a role allows."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    """The only one that it holds in; all if empty."""
    name: str = ""
    """The only one that it holds for; all if empty."""

    def covers(self, request: Request) -> bool:
        """Return whether a request is one of those that it allows."""
        what = (self.group, self.resource, self.verb) == (request.group, request.resource, request.verb)
        return what and self.namespace in {"", request.namespace} and self.name in {"", request.name}

    def __str__(self) -> str:
        where = " ".join(part for part in (self.name, self.namespace and f"in {self.namespace}") if part)
        return f"{self.verb} {self.resource}.{self.group} {where}".strip()


def rights(documents: Iterable[Document]) -> set[Right]:
    """Return what the roles allow that are bound to a ServiceAccount."""
    parts = list(documents)
    roles = {
        (part["kind"], part["metadata"]["name"]): part for part in parts if part["kind"] in {"Role", "ClusterRole"}
    }
    bindings = [part for part in parts if part["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    return {
        Right(group, resource, verb, binding["metadata"].get("namespace", ""), name)
        for binding in bindings
        for rule in roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def requests(log: Path, user: str) -> set[Request]:
    """Return what a user has asked for, but what everybody may ask for: versions and the kinds that there are."""
    return {request for event in _events(log, user) for request in _requests(event)}


def _events(log: Path, user: str) -> Iterator[Document]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if user in line:
                event = json.loads(line)
                if event["user"]["username"] == user and "resource" in event.get("objectRef", {}):
                    yield event


def _requests(event: Document) -> Iterator[Request]:
    what, code = event["objectRef"], event.get("responseStatus", {}).get("code", 0)
    resource = "/".join(part for part in (what["resource"], what.get("subresource")) if part)
    verbs = [event["verb"]]
    if event["verb"] == "patch" and code == CREATED:
        verbs.append("create")  # An apply of what is not there needs both.
    for verb in verbs:
        yield Request(
            what.get("apiGroup", ""), resource, verb, what.get("namespace", ""), what.get("name", ""), code != 403
        )
