"""Grafana's dashboards are as their script makes them, complete, and name metrics that exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

from runtime.record.metrics import Gauges, Metrics
from scripts.dashboards.__main__ import FOLDER, MADE, text
from scripts.install import ROOT

UNITS = {"s", "short", "reqps", "ops", "percentunit", "currencyUSD", "bytes"}


def exported() -> set[str]:
    """Every name that a scrape can have, of Hearth and of Prometheus itself."""
    found = set()
    for family in Metrics(Gauges).families():
        ends = ("_bucket", "_sum", "_count") if isinstance(family, HistogramMetricFamily) else ("",)
        ends = ("_total",) if isinstance(family, CounterMetricFamily) else ends
        found |= {family.name + end for end in ends}
    return found


def panels(name: str) -> list[dict[str, Any]]:
    """The panels of a dashboard, without its rows."""
    dashboard = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("name", MADE)
def test_the_file_is_as_the_script_makes_it(name: str) -> None:
    """After a change: `python -m scripts.dashboards`."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text(name)


def test_there_is_no_file_that_the_script_does_not_make() -> None:
    """Grafana shows whatever lies there."""
    assert {each.name for each in FOLDER.iterdir()} == {f"{name}.json" for name in MADE}


@pytest.mark.parametrize("name", MADE)
def test_each_panel_says_what_it_shows(name: str) -> None:
    """A sentence as its title, a description that ends, a known unit, and an id of its own."""
    shown = panels(name)
    for panel in shown:
        assert " " in panel["title"] and panel["description"].endswith((".", "!"))
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["targets"] and all(target["legendFormat"] for target in panel["targets"])
    whole = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in whole["panels"]]
    assert len(set(ids)) == len(ids) and len({panel["title"] for panel in shown}) == len(shown)
    assert whole["uid"] == f"hearth-{name}" and "__inputs" not in whole


def test_every_name_is_exported_and_every_exported_name_is_used() -> None:
    """In a panel or a rule: a family that neither shows is one that nobody sees."""
    files = [*FOLDER.iterdir(), ROOT / "docker" / "monitoring" / "rules.yml"]
    named = {name for file in files for name in re.findall(r"\bhearth_\w+", file.read_text(encoding="utf-8"))}
    assert named <= exported()
    seen = {re.sub("_(bucket|sum|count)$", "", name) for name in named}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in exported()}
    assert families - seen == {"hearth_chore_state", "hearth_settings_reload_timestamp_seconds"}
