"""The kinds of panels: each with a description, a unit, a legend, and words for when there is nothing to show."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from manifests.dashboards.states import GOOD, PLAIN, QUIET, State, by_code, nothing

AnyPanel = Builder[models.Panel]

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
NO_DATA: Final = "No data: is Prometheus scraping it?"
LETTERS: Final = string.ascii_uppercase
NONE: Final = "None: "
"""Begins what a panel says that may be empty while all is well."""


@dataclass(frozen=True)
class Query:
    """An expression, and what its series are called: `{{label}}` stands for a label's value."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Limit:
    """From this value on, the colour holds."""

    value: float
    colour: str


@dataclass(frozen=True)
class Text:
    """What a panel says of itself."""

    title: str
    description: str
    """What it shows, what is normal, and what to do if it is not."""
    nothing: str = NO_DATA


def graph(
    text: Text,
    unit: str,
    queries: Sequence[Query],
    *,
    span: int = 8,
    limits: Sequence[Limit] = (),
    maximum: float | None = None,
    minimum: float | None = 0,
    reach: float | None = None,
    stacked: bool = False,
    colours: Mapping[str, str] | None = None,
) -> TimeSeries:
    """Draw lines over time. Limits are drawn as lines, `colours` go by the series' names; the axis goes to `reach`."""
    panel = (
        TimeSeries()
        .title(text.title)
        .description(text.description)
        .datasource(SOURCE)
        .span(span)
        .height(8)
        .unit(unit)
        .no_value(text.nothing)
        .line_width(1.5)
        .fill_opacity(30 if stacked else 6)
        .show_points(common.VisibilityMode.AUTO)
        .span_nulls(False)
        .color_scheme(FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(_legend())
        .tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .thresholds(_thresholds(limits, "transparent"))
        .thresholds_style(
            options.GraphThresholdsStyleConfig().mode(
                common.GraphThresholdsStyleMode.DASHED if limits else common.GraphThresholdsStyleMode.OFF
            )
        )
    )
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    if reach is not None:
        panel.axis_soft_max(reach)
    if stacked:
        panel.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL))
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, [fixed_colour(colour)])
    panel.targets(_targets(queries))
    return panel


def stat(
    text: Text,
    unit: str,
    query: Query,
    *,
    span: int = 4,
    limits: Sequence[Limit] = (),
    mappings: Sequence[models.ValueMapping] = (),
    named: bool = False,
    base: str = PLAIN,
) -> Stat:
    """Show one number of now, or (`named`) the name of its series; the colour follows the limits."""
    return (
        Stat()
        .title(text.title)
        .description(text.description)
        .datasource(SOURCE)
        .span(span)
        .height(4)
        .unit(unit)
        .no_value(text.nothing)
        .mappings([*mappings, *nothing(models.SpecialValueMatch.NA_N)])
        .thresholds(_thresholds(limits, base))
        .color_scheme(FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.NAME if named else common.BigValueTextMode.VALUE)
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .targets(_targets([query], instant=True))
    )


def timeline(text: Text, query: Query, states: Sequence[State], *, span: int = 12, height: int = 6) -> StateTimeline:
    """Draw which state held when, a line a series; the values are the states' codes."""
    return (
        StateTimeline()
        .title(text.title)
        .description(text.description)
        .datasource(SOURCE)
        .span(span)
        .height(height)
        .unit(units.NoUnit)
        .no_value(text.nothing)
        .mappings(by_code(states))
        .color_scheme(FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds((), QUIET))
        .show_value(common.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(80)
        .legend(_legend())
        .targets(_targets([query]))
    )


def matrix(text: Text, unit: str, query: Query, rows: str, columns: str, *, maximum: float | None = None) -> Table:
    """Show values by two labels as a table whose cells are the darker, the larger; one for each chosen revision."""
    panel = (
        _table(text, unit, 24, 6)
        .targets(_targets([query], instant=True, table=True))
        .transformations([_sorted_by(columns), _sorted_by(rows), _grouped(rows, columns)])
        .color_scheme(FieldColor().mode(models.FieldColorModeId.CONTINUOUS_BLUES))
        .min(0)
        .cell_options(shaded())
        .override_by_name(f"{rows}\\{columns}", [models.DynamicConfigValue("custom.cellOptions", plain())])
        .repeat("revision")
        .repeat_direction("h")
        .max_per_row(3)
    )
    return panel if maximum is None else panel.max(maximum)


@dataclass(frozen=True)
class Column:
    """A column of a table of queries: a label, or the value of a query."""

    title: str
    unit: str = units.String
    query: str = ""
    """Expression of what it shows. Without one, the label comes along with another column's query."""
    label: str = ""
    """Show this label, not the value."""
    width: int = 0
    properties: Sequence[models.DynamicConfigValue] = ()


def table(text: Text, columns: Sequence[Column], *, sort: str, height: int = 10) -> Table:
    """Show a row for each set of labels that the queries share, with a column for each query's value or label."""
    asked = [column for column in columns if column.query]
    values = {column.title: f"Value #{letter}" for column, letter in zip(asked, LETTERS, strict=False)}
    fields = {column.title: column.label or values[column.title] for column in columns}
    unseen = ["Time", *(values[column.title] for column in asked if column.label)]
    panel = (
        _table(text, units.Short, 24, height)
        .targets(_targets([Query(column.query) for column in asked], instant=True, table=True))
        .transformations(
            [
                models.DataTransformerConfig("merge", options={}),
                models.DataTransformerConfig(
                    "organize",
                    options={
                        "excludeByName": dict.fromkeys(unseen, True),
                        "indexByName": {field: number for number, field in enumerate(fields.values())},
                        "renameByName": {field: title for title, field in fields.items()},
                    },
                ),
            ]
        )
        .mappings(nothing(models.SpecialValueMatch.NULL_AND_NAN, models.SpecialValueMatch.EMPTY))
        .filterable(True)
        .sort_by([options.TableSortByFieldState().display_name(sort).desc(True)])
    )
    for column in columns:
        width = [models.DynamicConfigValue("custom.width", column.width)] if column.width else []
        panel.override_by_name(
            column.title, [models.DynamicConfigValue("unit", column.unit), *width, *column.properties]
        )
    return panel


def limits_of(limits: Sequence[Limit], base: str = GOOD) -> list[models.DynamicConfigValue]:
    """Colour the text of a column by limits."""
    return [
        models.DynamicConfigValue("thresholds", _thresholds(limits, base).build()),
        models.DynamicConfigValue("custom.cellOptions", common.TableColorTextCellOptions()),
    ]


def linked(url: str, title: str) -> models.DynamicConfigValue:
    """Lead from a cell to a page."""
    link = models.DashboardLink(title=title, url=url).to_json()
    return models.DynamicConfigValue("links", [{"title": link["title"], "url": link["url"]}])


def mapped(mappings: Sequence[models.ValueMapping]) -> models.DynamicConfigValue:
    """Colour and name the values of a column."""
    return models.DynamicConfigValue("mappings", list(mappings))


def coloured() -> models.DynamicConfigValue:
    """Write a column in the colours of its values."""
    return models.DynamicConfigValue("custom.cellOptions", common.TableColorTextCellOptions())


def fixed_colour(colour: str) -> models.DynamicConfigValue:
    """Give a series one colour."""
    return models.DynamicConfigValue(
        "color", FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(colour).build()
    )


def plain() -> common.TableAutoCellOptions:
    """Leave a cell without colour."""
    return common.TableAutoCellOptions()


def shaded() -> common.TableColoredBackgroundCellOptions:
    """Put the colour of its value behind a cell."""
    return common.TableColoredBackgroundCellOptions(mode=common.TableCellBackgroundDisplayMode.BASIC)


def _sorted_by(name: str) -> models.DataTransformerConfig:
    """Sort by a field, and leave the order of equals as it is."""
    return models.DataTransformerConfig("sortBy", options={"fields": {}, "sort": [{"field": name, "desc": False}]})


def _grouped(rows: str, columns: str) -> models.DataTransformerConfig:
    """Make a row and a column of each value of two labels."""
    fields = {"columnField": columns, "rowField": rows, "valueField": "Value", "emptyValue": "zero"}
    return models.DataTransformerConfig("groupingToMatrix", options=fields)


def _table(text: Text, unit: str, span: int, height: int) -> Table:
    return (
        Table()
        .title(text.title)
        .description(text.description)
        .datasource(SOURCE)
        .span(span)
        .height(height)
        .unit(unit)
        .no_value(text.nothing)
    )


def _targets(queries: Sequence[Query], *, instant: bool = False, table: bool = False) -> list[Builder[Dataquery]]:
    """Name the queries by letters, as Grafana does."""
    return [
        _target(query, letter, instant=instant, table=table) for query, letter in zip(queries, LETTERS, strict=False)
    ]


def _target(query: Query, letter: str, *, instant: bool, table: bool) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(query.expression)
    target.format(PromQueryFormat.TABLE if table else PromQueryFormat.TIME_SERIES)
    if query.legend:
        target.legend_format(query.legend)
    return target.instant() if instant else target.range()


def _legend() -> options.VizLegendOptions:
    return (
        options.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )


def _thresholds(limits: Sequence[Limit], base: str) -> ThresholdsConfig:
    steps = [
        models.Threshold(value=None, color=base),
        *(models.Threshold(value=limit.value, color=limit.colour) for limit in limits),
    ]
    return ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
