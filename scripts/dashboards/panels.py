"""The parts that all dashboards share: panels of lines and of one figure, the variables, and queries that recur.

A panel is a title that is a sentence, a description, a unit and its queries. Every query names `$instance`, and ends with
`>= 0` where it divides: that drops what is not a number, as the share of a target without traffic is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    VariableRefresh,
)

HERE = '{instance=~"$instance"}'
THRESHOLD = "threshold"  # the legend of a threshold, which is drawn dashed and without an area
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG = "hearth"
_WIDTH = 24  # of Grafana's grid


class Query(NamedTuple):
    """legend: of its lines, with labels as `{{target}}`."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """unit: Grafana's id of it: s, reqps, percentunit, currencyUSD, bytes, short."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    stacked: bool = False


class Section(NamedTuple):
    """A row of figures, each one number, above charts, two beside each other."""

    title: str
    figures: Sequence[Panel] = ()
    charts: Sequence[Panel] = ()


def selected(metric: str, **labels: str) -> str:
    """A metric of the chosen instances. labels: what else must match, as an expression where it begins with `~`."""
    others = "".join(
        f', {name}=~"{value[1:]}"' if value.startswith("~") else f', {name}="{value}"' for name, value in labels.items()
    )
    return f'{metric}{{instance=~"$instance"{others}}}'


def rate(metric: str, by: str, **labels: str) -> str:
    """Events a second of a counter."""
    return f"sum by ({by}) (rate({selected(metric, **labels)}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "target, le") -> str:
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', by)}) >= 0"


def made(uid: str, title: str, description: str, sections: Sequence[Section]) -> dashboard.Dashboard:
    """A dashboard whose data source and instances are chosen at its top."""
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([_TAG])
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(_others())
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_instances())
    )
    ids = itertools.count(1)
    for section in sections:
        built = built.with_row(dashboard.Row(section.title).id(next(ids)))
        for figure in section.figures:
            wide = _WIDTH // len(section.figures)
            built = built.with_panel(_figure(figure).id(next(ids)).height(4).span(wide))
        for chart in section.charts:
            built = built.with_panel(_chart(chart).id(next(ids)).height(9).span(_WIDTH // 2))
    return built


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Dashboards of Hearth").type(DashboardLinkType.DASHBOARDS).tags([_TAG])
    return link.as_dropdown(True).include_vars(True).keep_time(True)


def _instances() -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable("instance").label("Instance").datasource(_SOURCE)
    variable = variable.query("label_values(hearth_build_info, instance)")
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True).all_value(".*")


def _asked(panel: Panel) -> list[prometheus.Dataquery]:
    """The queries, named A, B, …"""
    return [
        prometheus.Dataquery().datasource(_SOURCE).ref_id(chr(ord("A") + at)).expr(expr).legend_format(legend).range()
        for at, (expr, legend) in enumerate(panel.queries)
    ]


def _figure(panel: Panel) -> stat.Panel:
    shown = stat.Panel().title(panel.title).description(panel.description).unit(panel.unit).datasource(_SOURCE)
    shown = shown.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    shown = shown.color_mode(BigValueColorMode.VALUE).graph_mode(BigValueGraphMode.AREA)
    for query in _asked(panel):
        shown = shown.with_target(query)
    return shown


def _chart(panel: Panel) -> timeseries.Panel:
    shown = timeseries.Panel().title(panel.title).description(panel.description).unit(panel.unit).datasource(_SOURCE)
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.BOTTOM)
    shown = shown.legend(legend.show_legend(True).calcs(["lastNotNull", "max"]))
    shown = shown.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    shown = shown.min(0).line_width(1).fill_opacity(30 if panel.stacked else 8).span_nulls(False)
    if panel.stacked:
        shown = shown.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    dashed = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})
    shown = shown.override_by_regexp(f"/{THRESHOLD}/", [dashed, DynamicConfigValue("custom.fillOpacity", 0)])
    for query in _asked(panel):
        shown = shown.with_target(query)
    return shown
