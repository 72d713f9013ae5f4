"""Writes the dashboards: `python -m scripts.dashboards`. A test compares them with what lies in docker/monitoring."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from scripts.dashboards import engine, overview, routing
from scripts.install import ROOT

FOLDER = ROOT / "docker" / "monitoring" / "dashboards"
MADE = {"overview": overview.dashboard, "routing": routing.dashboard, "engine": engine.dashboard}


def text(name: str) -> str:
    """A dashboard's file."""
    return json.dumps(MADE[name]().build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in MADE:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
