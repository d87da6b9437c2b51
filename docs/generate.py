"""Write the pages that say what the code says already: one for each rule, the command line, the metrics, alerts.

`python docs/generate.py` writes them. They are committed, and a test compares them with what this writes.
"""  # noqa: INP001 - a script beside the pages, no package

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

from click.testing import CliRunner
from penstock_cli._main import penstock
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.codemod import plan
from penstock_migrations.rule import Example, Finding, Fix, Rule
from penstock_monitoring import METRICS, AlertRule, Metric, default_alerts
from penstock_monitoring._alerts.defaults import exhaustion
from penstock_monitoring._registry.catalogue import LEFT_OUT

DOCS = Path(__file__).parent
WIDTH = 78  # of help in a terminal of 80 columns, whatever the writer's has
NOTE_BELOW = "<!-- Below: written by docs/generate.py. Change the rules in penstock_monitoring, then run it. -->\n\n"
NOTE = "<!-- Written by docs/generate.py: change the rule or the command, then run it. -->\n\n"


def render() -> dict[str, str]:
    """Return the text of every generated page by its POSIX path within docs/."""
    pages = {f"rules/{rule.name}.md": _rule(rule) for rule in rules()}
    pages |= {"rules/index.md": _index(), "reference/command-line.md": _command_line()}
    return pages | {"monitoring/metrics.md": _metrics(), "operate/alerts.md": _alerts()}


def _index() -> str:
    rows = [f"| [{rule.code}]({rule.name}.md) | {rule.name} | {rule.issue} | {_summary(rule)} |" for rule in rules()]
    return (
        f"{NOTE}# Rules\n\n"
        "A rule's code is `PEN`, the digit of its critical issue, and two more digits. `penstock explain PEN101`\n"
        "shows the same text in a terminal.\n\n"
        "| code | name | issue | finds |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        "Where a finding is known and meant, say so beside it, with the reason:\n"
        "`# penstock: ignore[PEN101] three warm-up calls, never more`.\n"
    )


def _rule(rule: Rule) -> str:
    _, _, text = rule.documentation.partition("\n")
    sections = [f"{NOTE}# {rule.code} {rule.name}", f"{_summary(rule)}.", text.strip()]
    sections[-1] = re.sub(r"```python\n(.*?)```", _fragment, sections[-1], flags=re.DOTALL)
    sections += ["## Examples: found", *(_found(rule, example) for example in rule.bad)]
    sections += ["## Examples: left alone", *(_left_alone(rule, example) for example in rule.good)]
    return "\n\n".join(sections) + "\n"


def _fragment(block: re.Match[str]) -> str:
    """Say of a block that it is a fragment, if it needs names that the reader's program has."""
    try:
        exec(compile(block[1], "fragment", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own words
    except (NameError, SyntaxError):
        return f'```python title="a fragment"\n{block[1]}```'
    return block[0]


def _summary(rule: Rule) -> str:
    return rule.documentation.partition("\n")[0].rstrip(".")


def _found(rule: Rule, example: Example) -> str:
    finding, after = _codemod(rule, example.source)
    shown = (
        _fence("python", example.source, f"finds {rule.code}")
        if after is None
        else _fence("diff", _diff(example.source, after))
    )
    remark = {Fix.NONE: "Reported, not rewritten", Fix.REVIEW: "Rewritten with `--review`"}.get(finding.fix)
    return f"{_heading(example)}\n\n{shown}" + (f"\n\n{remark}: {finding.fix_reason}." if remark else "")


def _codemod(rule: Rule, source: str) -> tuple[Finding, str | None]:
    """Return what the rule finds in an example, and what the codemod makes of it; None if it leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "example.py")
        file.write_text(source, encoding="utf-8")
        planned = plan([file], Settings(select=(str(rule.issue),)), review=True)
    finding = next(finding for finding in planned.report.findings if finding.code == rule.code)
    return finding, next((edit.after.decode() for edit in planned.edits if edit.file.name == file.name), None)


def _left_alone(rule: Rule, example: Example) -> str:
    return f"{_heading(example)}\n\n{_fence('python', example.source, f'finds nothing of issue {rule.issue}')}"


def _heading(example: Example) -> str:
    return f"### {example.title[0].upper()}{example.title[1:]}"


def _diff(before: str, after: str) -> str:
    """Return the whole of two texts as one diff."""
    changes = difflib.ndiff(before.strip("\n").splitlines(), after.strip("\n").splitlines())
    return "\n".join(line[0] + line[2:] for line in changes if not line.startswith("?"))


def _metrics() -> str:
    kinds = dict.fromkeys(metric.kind for metric in METRICS)
    about = (
        "What [monitoring](index.md) shows, by the kind of resource. What is `sampled` needs a `ConcurrencyMonitor`\n"
        "that runs. With several processes each series has the label `worker`, too."
    )
    sections = [
        f"{NOTE}# Metrics",
        about,
        *(f"## {kind[0].upper()}{kind[1:]}\n\n{_metrics_of(kind)}" for kind in kinds),
        f"## Left out\n\n{_left_out()}",
    ]
    return "\n\n".join(sections) + "\n"


def _metrics_of(kind: str) -> str:
    rows = [
        f"| `{metric.name}` | {metric.type}{', sampled' if metric.source == 'sampled' else ''} "
        f"| {', '.join(_label(metric))} | {metric.help} |"
        for metric in METRICS
        if metric.kind == kind
    ]
    return "| metric | type | labels | says |\n|---|---|---|---|\n" + "\n".join(rows)


def _label(metric: Metric) -> Iterator[str]:
    yield from (f"`{name}`" for name in metric.labels)
    yield from (f'`{name}="{value}"`' for name, value in metric.fixed)


def _left_out() -> str:
    rows = [f"| {kind} | `{field}` | {reason} |" for (kind, field), reason in LEFT_OUT.items()]
    return "| kind | field of `statistics()` | why |\n|---|---|---|\n" + "\n".join(rows)


def _alerts() -> str:
    """Return the page of alerts: what people wrote, and below it what the rules say."""
    written, _, _ = (DOCS / "operate/alerts.md").read_text(encoding="utf-8").partition(NOTE_BELOW)
    rules = default_alerts()
    rows = [
        f"| [{rule.name}](#{rule.name.lower()}) | {rule.severity} | {_condition(rule)} | {_span(rule.pending)} |"
        for rule in rules
    ]
    table = "| alert | severity | fires when | for |\n|---|---|---|---|\n" + "\n".join(rows)
    sections = [f"## What fires when\n\n{table}", *map(_runbook, (*rules, exhaustion("", 0.8)))]
    return f"{written}{NOTE_BELOW}" + "\n\n".join(sections) + "\n"


def _condition(rule: AlertRule) -> str:
    words = {"name": "NAME", "job": "JOB", "capability": "CAPABILITY", "environment": "ENVIRONMENT"}
    return rule.template(lambda word: words.get(word) or _beyond(rule)).rstrip(".")


def _beyond(rule: AlertRule) -> str:
    """Return the values of a rule that are amiss."""
    limit = {"seconds": _span(rule.limit), "share": f"{rule.limit:.0%}"}.get(rule.unit, f"{rule.limit:g}")
    if rule.measure is None or rule.limit == 0:
        return "several" if rule.measure is None else "any"
    return f"{rule.compare} {limit}".replace(">=", "≥")


def _runbook(rule: AlertRule) -> str:
    asked = f"Prometheus asks:\n\n```text\n{rule.promql()}\n```" if rule.promql() else ""
    only = "" if asked else "Only the process can tell, of what it was asked to by `alert_resource_exhaustion`."
    only = "Only Prometheus can tell." if rule.measure is None else only
    sections = (f"## {rule.name}", rule.meaning, only, "What to do:", rule.remedy, asked)
    return "\n\n".join(section for section in sections if section)


def _span(seconds: float) -> str:
    if seconds == 0:
        return "at once"
    whole = seconds >= 60 and seconds % 60 == 0
    return f"{seconds / 60:g} min" if whole else f"{seconds:g} s"


def _fence(language: str, text: str, title: str = "") -> str:
    shown = f' title="{title}"' if title else ""
    return f"```{language}{shown}\n{text.strip(chr(10))}\n```"


def _command_line() -> str:
    sections = [
        f"{NOTE}# Command line",
        "Exit status of every command: 0 clean or pass, 1 findings or fail, 2 usage, 3 inconclusive.",
        *(f"## {title}\n\n{_help(command)}" for title, command in _commands()),
    ]
    return "\n\n".join(sections) + "\n"


def _commands() -> Iterator[tuple[str, str]]:
    yield "penstock", "penstock"
    for entry_point in sorted(entry_points(group="penstock.commands")):
        command = f"penstock {entry_point.name}"
        yield command, command
        for name in sorted(getattr(entry_point.load(), "commands", ())):
            yield f"{command} {name}", f"{command} {name}"


def _help(command: str) -> str:
    arguments = [*command.split()[1:], "--help"]
    shown = CliRunner().invoke(penstock, arguments, prog_name="penstock", terminal_width=WIDTH).output
    return _fence("console", f"$ {command} --help\n{shown}")


if __name__ == "__main__":
    for path, text in render().items():
        (DOCS / path).write_text(text, encoding="utf-8")
