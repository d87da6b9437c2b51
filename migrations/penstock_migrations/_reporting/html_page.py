"""The report as one HTML page that needs no network: figures, and tables to sort and to filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TypeVar

from penstock_migrations._auditing.audit import Report
from penstock_migrations._counted import counted
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.sources import printable
from penstock_migrations._reporting.words import ISSUES, PHASES, advice, packages, remedy, totals, unused
from penstock_migrations.rule import Finding, Severity

__all__ = ["render"]

K = TypeVar("K", bound=Hashable)


def render(report: Report, context: Context) -> str:
    """Return the report as a page."""
    folder = files("penstock_migrations._reporting") / "page"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    body = "\n".join(_sections(report, context))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>penstock audit</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n{body}\n<script>\n{script}</script>\n</body>\n</html>"
    )


def _sections(report: Report, context: Context) -> Iterable[str]:
    known = context.trend.known if context.trend else ()
    shown = sorted([*report.findings, *known], key=lambda one: (one.path, one.line, one.column, one.code))
    new = frozenset(map(id, report.findings))
    yield _header(report, shown, context)
    if shown:
        yield f'<main>\n<section class="figures">\n{_figures(shown)}\n</section>'
        yield _findings(shown, lambda finding: id(finding) in new, context)
    else:
        yield "<main>\n<p class=clean>Nothing was found.</p>"
    if context.trend is not None and context.trend.fixed:
        rows = [[_t(one.path), _t(one.code), _t(one.function or ""), str(one.count)] for one in context.trend.fixed]
        yield _section("Fixed since the baseline", _table("Path|Rule|Function|#Findings", rows))
    notes = [[_t(one.path), "", _t(f"not audited: {one.reason}")] for one in report.unreadable]
    notes += [[_t(each.path), str(each.line), _t(unused(each))] for each in report.unused]
    if notes:
        yield _section("Notes", _table("Path|#Line|Note", notes))
    yield "</main>"


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>"


def _header(report: Report, shown: Sequence[Finding], context: Context) -> str:
    counts = Counter(finding.severity for finding in shown)
    figures = [_figure(one, str(one), counts[one]) for one in Severity]
    if context.trend is not None:
        fixed = sum(entry.count for entry in context.trend.fixed)
        trend = {"new": len(context.trend.new), "still": len(context.trend.known), "fixed": fixed}
        figures.append('<span class="gap"></span>')
        figures += [_figure(name, name, number) for name, number in trend.items()]
    audited = " ".join(map(str, context.paths))
    told = [totals(report), *advice(context)]
    if context.trend is not None:
        told.insert(1, f"Compared with the baseline {context.baseline}; what it knows is shown as `still`.")
    lines = "".join(f"<p>{_marked(line)}</p>\n" for line in told)
    title = f"<h1>penstock audit <code>{_t(audited)}</code></h1>" if audited else "<h1>penstock audit</h1>"
    return f'<header>\n{title}\n<div class="chips">{"".join(figures)}</div>\n{lines}</header>'


def _figure(kind: str, name: str, number: int) -> str:
    return f'<span class="figure {kind}"><b>{number:,}</b> {name}</span>'


def _figures(findings: Sequence[Finding]) -> str:
    package = packages(finding.path for finding in findings)
    tables = [
        _counts("Issue", findings, lambda one: one.issue, lambda issue: f"{issue} {ISSUES[issue]}"),
        _counts("Phase", findings, lambda one: one.phase, lambda phase: f"{phase} {PHASES[phase]}"),
        _counts("Package", findings, lambda one: package[one.path], str),
    ]
    return "\n".join(tables)


def _counts(title: str, findings: Sequence[Finding], key: Callable[[Finding], K], name: Callable[[K], str]) -> str:
    counts = Counter((key(finding), finding.severity) for finding in findings)
    rows = []
    for each in sorted({key for key, _ in counts}, key=str):
        row = [counts[each, severity] for severity in Severity]
        rows.append([_t(name(each)), *map(str, row), str(sum(row))])
    heads = f"{title}|" + "|".join(f"#{severity}" for severity in Severity) + "|#all"
    return f"<div>\n<h2>By {title.lower()}</h2>\n{_table(heads, rows)}\n</div>"


def _findings(findings: Sequence[Finding], is_new: Callable[[Finding], bool], context: Context) -> str:
    with_state = context.trend is not None
    rows = [_row(one, "new" if is_new(one) else "still", context, with_state=with_state) for one in findings]
    heads = "Severity|Rule|" + ("State|" if with_state else "") + "Place|What"
    issues = "".join(
        f'<option value="{issue}">{issue} {_t(ISSUES[issue])}</option>'
        for issue in sorted({one.issue for one in findings})
    )
    chips = [*map(str, Severity), *(["new", "still"] if with_state else [])]
    buttons = "".join(
        f'<button type="button" class="figure {one}" data-chip="{one}" aria-pressed="true">{one}</button>'
        for one in chips
    )
    title = counted(len(findings), "finding")
    if with_state:
        title += f", {sum(map(is_new, findings)):,} of them new"
    controls = (
        '<form class="filters" hidden>'
        '<input type="search" placeholder="Filter: a path, a rule, a word" aria-label="Filter the findings">'
        f'<select aria-label="Issue"><option value="">Every issue</option>{issues}</select>{buttons}'
        "<output></output></form>"
    )
    return f'<section id="findings">\n<h2>{title}</h2>\n{controls}\n{_rows(heads, rows)}\n</section>'


def _row(finding: Finding, state: str, context: Context, *, with_state: bool) -> str:
    line = context.sources.line(finding)
    source = f"<pre><code>{_t(line.strip())}</code></pre>" if line is not None else ""
    place = f"{_t(finding.path).replace('/', '/<wbr>')}<wbr>:{finding.line}:{finding.column}"
    function = f"<small>{_t(finding.function)}</small>" if finding.function else ""
    rank = list(Severity).index(finding.severity)
    cells = [
        f'<td data-sort="{rank}"><span class="chip {finding.severity}">{finding.severity}</span></td>',
        f"<td><b>{finding.code}</b><small>{_t(finding.name)}</small></td>",
        *([f'<td><span class="chip {state}">{state}</span></td>'] if with_state else []),
        f'<td class="place" data-sort="{_t(finding.path)}:{finding.line:07}"><code>{place}</code>{function}</td>',
        f'<td class="what">{_marked(finding.message)}{source}<small>{_marked(remedy(finding))}</small></td>',
    ]
    chips = f"{finding.severity} {state}" if with_state else str(finding.severity)
    return f'<tr data-issue="{finding.issue}" data-chips="{chips}">{"".join(cells)}</tr>'


def _table(heads: str, rows: Iterable[Sequence[str]]) -> str:
    numeric = [head.startswith("#") for head in heads.split("|")]
    lines = []
    for row in rows:
        cells = (f"<td{' class=n' if right else ''}>{cell}</td>" for cell, right in zip(row, numeric, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return _rows(heads, lines)


def _rows(heads: str, rows: Iterable[str]) -> str:
    cells = "".join(
        f'<th scope="col"{" class=n" if head.startswith("#") else ""}>{_t(head.lstrip("#"))}</th>'
        for head in heads.split("|")
    )
    listed = "\n".join(rows)
    return f'<div class="scroll"><table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n{listed}\n</tbody>\n</table></div>'


def _t(text: str) -> str:
    """Return a text as it stands in HTML, in an attribute too."""
    return escape(printable(text), quote=True)


def _marked(text: str) -> str:
    """Return a text in HTML in which what stands between backticks is code."""
    parts = _t(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return "`".join(parts)
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
