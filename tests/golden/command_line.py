"""What `kubectl model` prints of models in every state; `python -m tests.golden.command_line` renews the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.status import ModelDeploymentStatus, RolloutStatus, Verdict
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.text.fleet import fleet
from modeldeployment_operator.cli.text.history import history
from modeldeployment_operator.cli.text.model import model
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.why import in_question, why
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.status import summarise

from tests.support import fleets
from tests.support.observations import NOW, ago, an_observation, healthy, inconclusive

DIRECTORY: Final = Path(__file__).parent / "command-line"
STYLE: Final = Style(width=100)
CANARY: Final = {
    "strategy": "Canary",
    "steps": [
        {"weight": 5, "hold": {"labels": 100}},
        {"weight": 25, "hold": {"labels": 500, "duration": "1h", "healthy": True}},
    ],
}
MANUAL: Final = {"strategy": "BlueGreen", "hold": {"approval": True}}


def seen(
    name: str,
    status: ModelDeploymentStatus,
    annotations: Mapping[str, str] | None = None,
    generation: int | None = None,
    **spec: Any,
) -> Seen:
    """Return a model as it is read."""
    document = fleets.body(name, status)
    document["metadata"] |= {
        "generation": generation or status.observed_generation or 1,
        "annotations": dict(annotations or {}),
    }
    document["spec"] = {"model": {"uri": "https://models/x.keras"}, "accuracy": {"minimum": 0.9}} | spec
    document["spec"] = {field: value for field, value in document["spec"].items() if value is not None}
    return Seen.of(document)


def rolling_out(name: str, rollout: Mapping[str, Any], *, labels: int = 230, **fields: Any) -> ModelDeploymentStatus:
    """A candidate is ready, and on its way to the traffic, as the operator tells of it."""
    good, new = f"{name}-6f1c0a", f"{name}-9b27e4"
    steps = len(rollout.get("steps", [0]))
    told = RolloutStatus(
        revision=new,
        strategy=Strategy(rollout["strategy"]),
        step=steps,
        steps=steps,
        since=ago(minutes=20),
        labels_before=100,
        reached=24 if "steps" in rollout else None,
    )
    builder = an_observation(rollout=dict(rollout)).serving(good, verdict=Verdict.HEALTHY).ready(good)
    builder = builder.candidate(new).ready(new).remembers(rollout=told)
    wrong = labels // 9
    judged = {good: healthy(970, 30), new: inconclusive(labels - wrong, wrong)}
    observation = builder.having(key=Key(fleets.TEAM, name), selected=good).obj()
    status = summarise(observation, judged, decide(observation, judged))
    assert status.rollout is not None
    return status.model_copy(update={"rollout": status.rollout.model_copy(update={"reached": told.reached}), **fields})


def models() -> list[Seen]:
    """Return a model in every state."""
    found = []
    for kind in fleets.ALL:
        name = kind.__name__.replace("_", "-")
        spec: dict[str, Any] = {"accuracy": None} if kind is fleets.unjudged else {}
        spec |= {"paused": True} if kind is fleets.paused else {}
        found.append(seen(name, kind(name), **spec))
    found.append(seen("rolling-out", rolling_out("rolling-out", CANARY), rollout=CANARY))
    found.append(seen("to-approve", rolling_out("to-approve", MANUAL), rollout=MANUAL))
    found.append(seen("new", ModelDeploymentStatus()))
    return found


def render() -> dict[str, str]:
    """Return each file by its name."""
    files = {"fleet": _file(fleet(STYLE, models(), NOW, everywhere=True))}
    for one in models():
        asked = in_question(one)
        parts = [("status", model(STYLE, one, NOW)), ("history", history(STYLE, one, NOW))]
        parts += [("why", why(STYLE, one, asked, NOW))] if asked else []
        lines = []
        for command, told in parts:
            lines += [f"$ kubectl model {command} {one.name}", *told, ""]
        files[one.name] = _file(lines[:-1])
    return files


def _file(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    for name, text in render().items():
        (DIRECTORY / f"{name}.txt").write_text(text, encoding="utf-8")
