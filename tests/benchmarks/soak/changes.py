"""What users do all the time. Pure: which change comes next, and what each model should be by then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Any, Final

from tests.benchmarks.fleet.objects import NAMESPACE
from tests.benchmarks.soak.pods import BAD


class Change(StrEnum):
    """What is done to a model."""

    EDIT = "edit"
    EDIT_TO_BAD = "edit to a bad model"
    SCALE = "scale"
    RECREATE = "delete and create"


HISTORY: Final = 2
"""Revisions that are kept: so few that all models have them by the end of the warm-up. What grows then is a leak."""
_SHARES: Final = {Change.EDIT: 45, Change.EDIT_TO_BAD: 10, Change.SCALE: 25, Change.RECREATE: 20}


@dataclass(frozen=True)
class Wanted:
    """One model as its user wants it."""

    name: str
    version: int = 1
    is_bad: bool = False
    replicas: int = 1

    @property
    def uri(self) -> str:
        """Of its model."""
        return f"s3://models/{self.name}/{BAD if self.is_bad else 'good'}-{self.version}"

    @property
    def spec(self) -> dict[str, Any]:
        """As the object has it."""
        accuracy = {"minimum": 0.9, "sampleInterval": "10s"}
        return {
            "model": {"uri": self.uri},
            "replicas": self.replicas,
            "accuracy": accuracy,
            "revisionHistoryLimit": HISTORY,
        }

    @property
    def manifest(self) -> dict[str, Any]:
        """The object."""
        return {
            "apiVersion": "modelops.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": self.spec,
        }

    def after(self, change: Change) -> Wanted:
        """Return what is wanted after a change."""
        if change is Change.SCALE:
            return replace(self, replicas=3 - self.replicas)
        return replace(self, version=self.version + 1, is_bad=change is Change.EDIT_TO_BAD)


def changes(names: list[str], seed: int) -> Iterator[tuple[str, Change]]:
    """Yield what is done to which model, for ever, and the same for the same seed."""
    random = Random(seed)
    while True:
        yield random.choice(names), random.choices([*_SHARES], [*_SHARES.values()])[0]


def is_as_wanted(body: dict[str, Any], wanted: Wanted) -> bool:
    """Whether an object says that it serves what its user wants, with all replicas."""
    status = body.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    serving = [one for one in status.get("revisions", ()) if one["name"] == status.get("servingRevision")]
    return (
        body["spec"] == body["spec"] | wanted.spec
        and status.get("observedGeneration") == body["metadata"]["generation"]
        and conditions.get("Ready") == "True"
        and [one["modelUri"] for one in serving] == [wanted.uri]
        and status.get("readyReplicas") == wanted.replicas
    )
