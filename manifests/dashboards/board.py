"""A dashboard of rows of panels, with the variables and links that all have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from manifests.dashboards.panels import SOURCE, AnyPanel

TAG: Final = "modelops"
SCHEMA_VERSION: Final = 39
"""Of Grafana 10.4. Later ones bring it up to theirs when they load it; an earlier one cannot go back."""

UNWANTED: Final = ("placement", "allowCustomValue", "auto", "auto_count", "auto_min")
"""The SDK always writes them. The first moves links into a menu of Grafana 12; the others are later than 10.4."""

FLEET_UID: Final = "modelops-fleet"
MODEL_UID: Final = "modelops-model"
OPERATOR_UID: Final = "modelops-operator"


@dataclass(frozen=True)
class Section:
    """A row: its title, and panels that fill lines of 24 columns."""

    title: str
    panels: Sequence[AnyPanel]


@dataclass(frozen=True)
class Event:
    """Something to mark in all panels when its expression is above 0."""

    name: str
    expression: str
    text: str
    colour: str
    value_is_time: bool = False
    """The value is the time of the event, in milliseconds."""


def build_dashboard(
    uid: str,
    title: str,
    description: str,
    variables: Sequence[QueryVariable],
    sections: Sequence[Section],
    events: Sequence[Event],
) -> models.Dashboard:
    """Put a dashboard together; panels are numbered and placed in their order."""
    board = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(_links())
    )
    for variable in variables:
        board.with_variable(variable)
    for event in events:
        board.annotation(_annotation(event))
    for section in sections:
        board.with_row(Row(section.title))
        for panel in section.panels:
            board.with_panel(panel)
    built = board.build()
    built.schema_version = SCHEMA_VERSION
    for number, placed in enumerate(built.panels or (), start=1):
        placed.id_val = number
    return built


def choice(name: str, label: str, metric: str, matchers: str, *, several: bool = False) -> QueryVariable:
    """Let the user choose among the values that a label has in the time that is shown."""
    query = f"label_values({metric}{{{matchers}}}, {name})" if matchers else f"label_values({metric}, {name})"
    variable = (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": f"choose-{name}"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if several:
        everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
        variable.multi(True).include_all(True).all_value(".*").current(everything)
    return variable


def to_text(board: models.Dashboard) -> str:
    """Write JSON that is the same at each time."""
    document = json.loads(json.dumps(board, cls=JSONEncoder))
    for part in (*document["links"], *document["annotations"].get("list", ()), *document["templating"]["list"]):
        for name in UNWANTED:
            part.pop(name, None)
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _links() -> DashboardLink:
    """Lead to the other dashboards, with the same time and the same choices."""
    return (
        DashboardLink("Models")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .icon("external link")
        .tooltip("The other dashboards of the models")
        .include_vars(True)
        .keep_time(True)
    )


def _annotation(event: Event) -> AnnotationQuery:
    return (
        AnnotationQuery()
        .name(event.name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(event.colour)
        .expr(event.expression)
        .step("15s")
        .title_format(event.name)
        .text_format(event.text)
        .use_value_for_time(event.value_is_time)
    )
