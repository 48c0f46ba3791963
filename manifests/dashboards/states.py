"""What states are called, their numbers in a timeline, and the colours that they have everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.models import dashboard as models

GOOD: Final = "green"
BUSY: Final = "blue"
WARNING: Final = "orange"
BAD: Final = "red"
QUIET: Final = "#8e8e8e"
PLAIN: Final = "text"
"""The colour of text in the theme."""


@dataclass(frozen=True)
class State:
    """One state. Of two at once, the one with the higher code is shown."""

    name: str
    code: int
    colour: str


VERDICTS: Final = (
    State("Healthy", 1, GOOD),
    State("Inconclusive", 2, BUSY),
    State("Unavailable", 3, QUIET),
    State("Degraded", 4, BAD),
)
PHASES: Final = (
    State("Retired", 1, QUIET),
    State("Standby", 2, "semi-dark-yellow"),
    State("Candidate", 3, BUSY),
    State("Rejected", 4, BAD),
    State("Serving", 5, GOOD),
)
ACTIONS: Final = (
    State("Alert", 1, QUIET),
    State("Promote", 2, GOOD),
    State("Hold", 3, BUSY),
    State("Pause", 4, WARNING),
    State("RollBack", 5, BAD),
)
ALERTS: Final = (State("pending", 1, WARNING), State("firing", 2, BAD))

READY: Final = {
    "Serving": GOOD,
    "Starting": BUSY,
    "Scaling": BUSY,
    "Switching": BUSY,
    "Paused": QUIET,
    "ScaledToZero": QUIET,
    "RollingOut": BUSY,
    "AwaitingApproval": QUIET,
    "RolledBack": WARNING,
    "Drift": WARNING,
    "SourceDown": WARNING,
    "InvalidData": WARNING,
    "NoTraffic": WARNING,
    "NoLabels": WARNING,
}
"""Colours of the reasons of `Ready`; every other one says what went wrong."""
ACCURACY_HEALTHY: Final = {
    "Healthy": GOOD,
    "Inconclusive": BUSY,
    "NotJudged": QUIET,
    "NoBaseline": "semi-dark-yellow",
    "SamplesUnavailable": WARNING,
    "Degraded": BAD,
    "Drift": "dark-orange",
    "NoRollbackTarget": "dark-red",
    "RollbackDisabled": "semi-dark-red",
    "Paused": "light-red",
}
"""Colours of the reasons of `AccuracyHealthy`."""


def codes(states: Sequence[State]) -> dict[str, int]:
    """Return the states' numbers by name."""
    return {state.name: state.code for state in states}


def by_code(states: Sequence[State]) -> list[models.ValueMapping]:
    """Show numbers as the states they stand for."""
    return [models.ValueMap({str(state.code): _shown(state.name, state.colour, state.code) for state in states})]


def reasons() -> list[models.ValueMapping]:
    """Colour the reasons of the condition `Ready`."""
    return [
        models.ValueMap({name: _shown(name, colour, index) for index, (name, colour) in enumerate(READY.items())}),
        models.RegexMap(models.DashboardRegexMapOptions("(.+)", _shown("$1", BAD, len(READY)))),
    ]


def nothing(*of: models.SpecialValueMatch) -> list[models.ValueMapping]:
    """Show what is undefined, as shares of nothing are, as a dash."""
    return [
        models.SpecialValueMap(models.DashboardSpecialValueMapOptions(match, _shown("–", QUIET, index)))
        for index, match in enumerate(of)
    ]


def _shown(text: str, colour: str, index: int) -> models.ValueMappingResult:
    return models.ValueMappingResult(text=text, color=colour, index=index)
