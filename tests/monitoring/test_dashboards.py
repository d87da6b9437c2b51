"""The dashboards are those of the boards, and every metric, alert and runbook that they name is there."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock_monitoring import METRICS, default_alerts
from penstock_monitoring._alerts.defaults import exhaustion
from penstock_monitoring._dashboards.boards import BOARDS
from penstock_monitoring._reading.series import label_names
from penstock_monitoring.generate import DATA, render

from tests import prometheus
from tests.docs.pages import ROOT

FILES = [f"dashboards/{board.name}.json" for board in BOARDS]
LABELS = {metric.name: set(label_names(metric)) | {"job", "instance"} for metric in METRICS}
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}


def board(file: str) -> dict[str, Any]:
    text: dict[str, Any] = json.loads((DATA / file).read_text(encoding="utf-8"))
    return text


def panels(file: str) -> list[dict[str, Any]]:
    return [panel for panel in board(file)["panels"] if panel["type"] != "row"]


def expressions(file: str) -> Iterator[str]:
    for panel in panels(file):
        yield from (target["expr"] for target in panel["targets"])


def anchors(page: Path) -> set[str]:
    """Return the sections of a page, as the site names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("file", FILES)
def test_what_is_committed_is_what_the_boards_say(file: str) -> None:
    """If this fails, run `python -m penstock_monitoring.generate`."""
    assert (DATA / file).read_text(encoding="utf-8") == render()[file]


def test_no_file_is_left_of_a_board_that_is_gone() -> None:
    """Grafana would load it."""
    assert sorted(f"dashboards/{file.name}" for file in DATA.glob("dashboards/*")) == sorted(FILES)


@pytest.mark.parametrize("file", FILES)
def test_a_panel_asks_only_for_metrics_and_labels_that_there_are(file: str) -> None:
    """And each asks for something."""
    for expression in expressions(file):
        selectors = re.findall(r"\b(penstock_\w+|ALERTS)(?:\{([^}]*)\})?", expression)
        assert selectors, expression
        for metric, matchers in selectors:
            if metric != "ALERTS":
                assert set(re.findall(r"(\w+)=~?\"", matchers)) <= LABELS[metric], expression


@pytest.mark.parametrize("file", FILES)
def test_a_panel_groups_by_labels_that_there_are(file: str) -> None:
    """A label that no metric of the expression has would leave one series without a name."""
    for panel in panels(file):
        for target in panel["targets"]:
            known = set().union({"worker"}, *(LABELS[name] for name in re.findall(r"\bpenstock_\w+", target["expr"])))
            grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", target["expr"])
            named = [name.strip() for names in grouped for name in names.split(",")]
            named += re.findall(r"{{(\w+)}}", target["legendFormat"])

            assert set(named) <= known, target


@pytest.mark.parametrize("file", FILES)
def test_every_panel_leads_to_a_runbook_that_there_is(file: str) -> None:
    """A page of the documentation, and a section of it."""
    for panel in panels(file):
        (link,) = panel["links"]
        page, _, section = link["url"].removeprefix("${docs}/").partition("#")
        source = ROOT / "docs" / page.replace(".html", ".md")

        assert source.is_file(), panel["title"]
        assert not section or section in anchors(source), (panel["title"], section)


def test_every_alert_leads_to_a_runbook_that_there_is() -> None:
    """Its own section."""
    for rule in (*default_alerts(), exhaustion("api", 0.8)):
        page, _, section = rule.anchor.partition("#")

        assert section in anchors(ROOT / "docs" / page.replace(".html", ".md"))


def test_every_alert_is_led_to_by_a_panel_or_is_about_one_worker() -> None:
    """What alerts, can be looked at."""
    linked = {panel["links"][0]["url"].partition("#")[2] for file in FILES for panel in panels(file)}

    assert {rule.name for rule in default_alerts() if rule.name.lower() not in linked} <= {"PenstockStaleWorker"}


@pytest.mark.parametrize("file", FILES)
def test_a_dashboard_has_the_shape_that_grafana_loads(file: str) -> None:
    """As far as can be told without one: numbers, places, types, data sources, variables that are defined."""
    told = board(file)
    defined = {variable["name"] for variable in told["templating"]["list"]} | {"__rate_interval"}
    places = [panel["gridPos"] for panel in told["panels"]]
    cells = [
        (column, row)
        for place in places
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]

    assert told["uid"] == f"penstock-{Path(file).stem}"
    assert told["schemaVersion"] >= 36
    assert len({panel["id"] for panel in told["panels"]}) == len(told["panels"])
    assert len(set(cells)) == len(cells), "panels overlap"
    assert max(column for column, _ in cells) < 24
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(told["panels"]))) <= defined
    for panel in panels(file):
        assert panel["type"] in {"stat", "statetimeline", "state-timeline", "timeseries"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [target["refId"] for target in panel["targets"]] == sorted({t["refId"] for t in panel["targets"]})


def test_titles_of_a_board_are_told_apart() -> None:
    """Within a row."""
    for each in BOARDS:
        for row in each.rows:
            assert len({panel.title for panel in row.panels}) == len(row.panels)


@pytest.mark.slow
def test_prometheus_understands_what_panels_ask(tmp_path: Path) -> None:
    """Each expression, as a recording rule."""
    asked = []
    for file in FILES:
        for expression in expressions(file):
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            asked.append({"record": f"asked:{len(asked)}", "expr": expression})
    rules = {"groups": [{"name": "asked", "rules": asked}]}
    (tmp_path / "asked.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")

    checked = subprocess.run(
        [prometheus.find("promtool", tmp_path), "check", "rules", "asked.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(asked)} rules found" in checked.stdout
