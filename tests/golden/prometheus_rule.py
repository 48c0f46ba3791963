"""The PrometheusRule of one ModelDeployment; `python -m tests.golden.prometheus_rule` renews the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.resources.monitoring import build_prometheus_rule

from tests.support.observations import an_observation

FILE: Final = Path(__file__).parent / "prometheus-rule.yaml"
_HEADER: Final = "# Made by `python -m tests.golden.prometheus_rule`: look at what changed before you commit it.\n"


class _Dumper(yaml.SafeDumper):
    """Writes PromQL in lines, as it is read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def render() -> str:
    """Return the file."""
    settings: dict[str, Any] = {"labels": {"release": "kube-prometheus-stack"}, "maximumLatency": "250ms"}
    observation = an_observation(monitoring={"prometheusRule": settings}).having(key=Key("team", "news")).obj()
    rule = build_prometheus_rule(observation)
    return _HEADER + yaml.dump(rule, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
