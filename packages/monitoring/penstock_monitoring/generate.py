"""Write the files in `data/` that are made from the code: `python -m penstock_monitoring.generate`."""

from __future__ import annotations

import json
from pathlib import Path

from penstock_monitoring._alerts.defaults import default_alerts
from penstock_monitoring._alerts.prometheus import render_rules, render_tests
from penstock_monitoring._dashboards.boards import BOARDS
from penstock_monitoring._reading.schema import SCHEMA

__all__ = ["DATA", "render"]

DATA = Path(__file__).parent / "data"


def render() -> dict[str, str]:
    """Return the text of every generated file, by its path within `data/`."""
    # Of those who change the dashboards, not of those who load them.
    from penstock_monitoring._dashboards.grafana import render_board

    rules = default_alerts()
    return {
        **{f"dashboards/{board.name}.json": render_board(board) for board in BOARDS},
        "alerts.yml": render_rules(rules),
        "alerts_test.yml": render_tests(rules, "alerts.yml"),
        "snapshot.schema.json": json.dumps(SCHEMA, indent=2) + "\n",
    }


def main() -> None:
    """Write them."""
    for path, text in render().items():
        (DATA / path).parent.mkdir(parents=True, exist_ok=True)
        (DATA / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
