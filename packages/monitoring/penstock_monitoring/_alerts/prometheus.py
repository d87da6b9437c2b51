"""Writes the rules as Prometheus loads them, and their unit tests as `promtool` runs them."""

from __future__ import annotations

from typing import Any, Final

from penstock_monitoring._alerts.examples import EXAMPLES, MINUTES, Example, Line
from penstock_monitoring._alerts.measures import Measure, Used, span, terms
from penstock_monitoring._alerts.rule import AlertRule
from penstock_monitoring._registry.selector import select

__all__ = ["DOCS", "render_rules", "render_tests"]

DOCS: Final = "penstock_docs"  # Prometheus' external label that says where the documentation is
_NOTE: Final = "# Written by `python -m penstock_monitoring.generate`: change the rules there.\n"
_VALUES: Final = {
    "count": "{{ $value | humanize }}",
    "ratio": '{{ $value | printf "%.2f" }}',
    "seconds": "{{ $value | humanizeDuration }}",
    "share": "{{ $value | humanizePercentage }}",
}


def render_rules(rules: tuple[AlertRule, ...]) -> str:
    """Return the text of a file of rules."""
    return _yaml({"groups": [{"name": "penstock", "rules": [_rule(rule) for rule in rules]}]})


def render_tests(rules: tuple[AlertRule, ...], file: str) -> str:
    """Return the text of a file of unit tests: for each rule what makes it fire, and what does not."""
    tests = [test for rule in rules for test in _tests(rule, EXAMPLES[rule.name])]
    return _yaml({"rule_files": [file], "evaluation_interval": "1m", "tests": tests})


def _rule(rule: AlertRule) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.promql(),
        "for": span(rule.pending),
        "keep_firing_for": span(rule.quiet),
        "labels": {"severity": rule.severity},
        "annotations": {
            "summary": rule.template(lambda word: _placeholder(rule, word)),
            "description": _description(rule),
            "runbook_url": f"{{{{ $externalLabels.{DOCS} }}}}/{rule.anchor}",
        },
    }


def _description(rule: AlertRule) -> str:
    return f"{rule.meaning}\n\n{rule.remedy}\n"


def _placeholder(rule: AlertRule, word: str) -> str:
    if word == "value":
        return _VALUES[rule.unit]
    return f"{{{{ $labels.{_label(rule.measure) if word == 'name' else word} }}}}"


def _label(measure: Measure | None) -> str:
    """Return the label that says which resource it is."""
    first = None if measure is None else terms(measure)[0]
    labels = () if first is None or isinstance(first, Used) else first.metric.labels
    return labels[0] if labels else "name"


def _tests(rule: AlertRule, example: Example) -> list[dict[str, Any]]:
    labels = example.labels if rule.measure is None else example.fires[0].labels
    said = {"value": example.says} | labels | {"name": labels.get(_label(rule.measure), "")}
    expected = {
        "exp_labels": {"severity": rule.severity} | labels,
        "exp_annotations": {
            "summary": rule.template(said.__getitem__),
            "description": _description(rule),
            "runbook_url": f"https://docs.example.org/{rule.anchor}",
        },
    }
    return [_test(rule, example.fires, [expected], "fires"), _test(rule, example.quiet, [], "does not fire")]


def _test(rule: AlertRule, lines: tuple[Line, ...], alerts: list[dict[str, Any]], what: str) -> dict[str, Any]:
    return {
        "name": f"{rule.name} {what}",
        "interval": "1m",
        "external_labels": {DOCS: "https://docs.example.org"},
        "input_series": [{"series": select(line.metric, **line.labels), "values": line.values} for line in lines],
        "alert_rule_test": [{"eval_time": f"{MINUTES}m", "alertname": rule.name, "exp_alerts": alerts}],
    }


def _yaml(document: dict[str, Any]) -> str:
    import yaml  # of those who change the rules, not of those who load them

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as the dumper calls it
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return _NOTE + yaml.dump(document, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True)
