"""What the kind accepts and refuses, with the reasons, in `crd/valid.yaml` and `crd/invalid.yaml`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from modeldeployment_operator.api import group
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from pydantic import ValidationError

CORPUS = Path(__file__).parent / "crd"


@dataclass(frozen=True)
class Case:
    """One object, and what is said of it."""

    title: str
    name: str
    spec: dict[str, Any]
    server: tuple[str, ...] = ()
    """Pieces of the API server's refusal; none if the object is accepted."""
    models: str = ""
    """A piece of the models' refusal; empty if the object is accepted."""

    def __str__(self) -> str:
        return self.title

    @property
    def document(self) -> dict[str, Any]:
        return {
            "apiVersion": group.API_VERSION,
            "kind": group.KIND,
            "metadata": {"name": self.name},
            "spec": self.spec,
        }


def valid() -> list[Case]:
    return _read("valid.yaml", name="sound")


def invalid() -> list[Case]:
    return _read("invalid.yaml", name="flawed")


def refusals(case: Case) -> list[str]:
    """Return what the models have against the object, as `path.of.field: why`."""
    found = [] if group.NAME_RULE.holds(case.name) else [group.NAME_RULE.message]
    try:
        ModelDeploymentSpec.parse(case.spec)
    except ValidationError as error:
        found += [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return found


def _read(file: str, *, name: str) -> list[Case]:
    cases = []
    for entry in yaml.safe_load((CORPUS / file).read_text(encoding="utf-8")):
        server, models = entry.get("server"), entry.get("models", "")
        if says := entry.get("says"):
            path = entry["at"].replace("[", ".").replace("]", "")
            models = f"{path}: Value error, {says}"
        cases.append(
            Case(
                title=entry["case"],
                name=_written_out(entry.get("name", name)),
                spec=_written_out(entry["spec"]),
                server=(f"spec.{entry['at']}: Invalid value", says) if says else (server,) if server else (),
                models=models,
            )
        )
    return cases


def _written_out(value: Any) -> Any:
    """Write `{a*3}` out as `aaa`, for what is too long to be read."""
    match value:
        case str():
            return re.sub(r"\{(.)\*(\d+)\}", lambda found: found[1] * int(found[2]), value)
        case list():
            return [_written_out(item) for item in value]
        case dict():
            return {key: _written_out(item) for key, item in value.items()}
    return value
