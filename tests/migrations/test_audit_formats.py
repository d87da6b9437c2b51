"""The formats of a report: each says the same findings to another reader."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from penstock_migrations._auditing.rules import rules
from penstock_migrations._command_line.emitting import FORMATS
from penstock_migrations._reporting import fracas, github, html_page, json_object, markdown, sarif, terminal, text
from penstock_migrations._reporting.baseline import Entry, Trend
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.sources import Sources
from penstock_migrations.commands import audit
from penstock_migrations.rule import Severity
from rich.console import Console

from tests.migrations.reports import DEFECT, FULL, found, report

SCHEMA = json.loads((Path(__file__).parent / "data/sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
NASTY = '</script><img src=x onerror=alert(1)> | `a|b` & "q" @all \x1b[31m % \n::error::x'
COMPARED = Context(
    paths=(Path("agents"),),
    baseline=Path("base.json"),
    trend=Trend((), (found(path="agents/k.py", line=3),), (Entry("agents/old.py", "PEN101", "gone", "f9", 2),)),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder with one defect."""
    (tmp_path / "one.py").write_text(DEFECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(audit, [str(argument) for argument in arguments])


# -- text ---------------------------------------------------------------------------------------------------------


def test_text_shows_the_code_and_the_remedy_beneath_each_finding(folder):
    """One line that editors jump to, then the code as written, then what to do."""
    first, code, fix, *_ = run("one.py").stdout.splitlines()

    assert first.startswith("one.py:4:11 PEN101 high: ")
    assert code == "    | await asyncio.gather(*[f(x) for x in xs])"
    assert fix == "    fix: safe, `penstock codemod` rewrites it"


def test_text_leaves_out_the_code_of_a_file_that_is_another_by_now(folder):
    """A wrong line would be worse than none."""
    gone = found(path="one.py", line=4, sha256="0" * 64)

    assert "|" not in text.render(report(gone), Context())
    assert "    | await" in text.render(report(found(path="one.py", line=4)), Context())


def test_text_names_ignores_that_suppress_nothing_and_files_that_were_not_read():
    """Notes stand between the findings and the totals."""
    said = text.render(FULL, Context())

    assert "agents/bad.py: not audited: does not parse" in said
    assert "agents/a.py:9: this ignore of PEN101 suppresses nothing: remove it" in said


def test_text_does_not_let_code_command_the_terminal():
    """Escape sequences of file names and code are shown, not obeyed."""
    assert "\x1b" not in text.render(report(found(message=NASTY, path="a\x1b[2J.py")), Context())


@pytest.mark.parametrize("width", [80, 140])
def test_a_terminal_gets_groups_and_a_table_that_fit(width):
    """Findings stand beneath their file, with counts; the table counts issues and severities."""
    console = Console(width=width, force_terminal=True, color_system=None, record=True, soft_wrap=True, markup=False)
    long = found(path="agents/a.py", line=9, message="word " * 60)
    terminal.show(report(*FULL.findings, long), Context(), console)
    lines = console.export_text().splitlines()

    assert max(map(len, lines)) <= width
    assert "agents/a.py  1 finding" in "\n".join(lines)
    assert any(re.fullmatch(r" *1 Unbounded fan-out +2 +1 +1 +4 *", line) for line in lines)
    assert any(re.fullmatch(r" *All +2 +1 +1 +4 *", line) for line in lines)


# -- programs -----------------------------------------------------------------------------------------------------


def test_json_tells_what_the_baseline_left_out():
    """The agreed fields stay; a comparison and its revision are added when there is one."""
    plain, compared = (json.loads(json_object.render(FULL, context)) for context in (Context(), COMPARED))

    assert plain["unused_ignores"] == [{"path": "agents/a.py", "line": 9, "codes": ["PEN101"]}]
    assert "baseline" not in plain
    assert (compared["baseline"]["known"], compared["baseline"]["fixed"][0]["count"]) == (1, 2)


@pytest.mark.parametrize("context", [Context(), COMPARED], ids=["plain", "compared"])
@pytest.mark.parametrize("shown", [FULL, report(), report(found(message=NASTY, path="a b/ä#%.py"))])
def test_sarif_is_valid(shown, context):
    """The official schema accepts the log."""
    log = json.loads(sarif.render(shown, context))

    jsonschema.Draft4Validator(SCHEMA).validate(log)


def test_sarif_says_what_code_scanning_needs(folder):
    """Rules with help, levels, a fingerprint, columns, and paths relative to a base."""
    (one,) = json.loads(run(".", "--format", "sarif").stdout)["runs"]
    (result,) = one["results"]
    driver, place = one["tool"]["driver"], result["locations"][0]["physicalLocation"]

    assert [rule["id"] for rule in driver["rules"]] == [rule.code for rule in rules()]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "PEN101"
    assert all("Why is this bad" in rule["help"]["markdown"] for rule in driver["rules"])
    assert result["level"] == "error"
    assert len(result["partialFingerprints"]["penstock/v1"]) == 16
    assert place["artifactLocation"] == {"uri": "one.py", "uriBaseId": "%SRCROOT%"}
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (4, 11)
    assert place["region"]["snippet"]["text"].startswith("asyncio.gather(")
    assert one["originalUriBaseIds"]["%SRCROOT%"]["uri"] == f"{folder.as_uri()}/"


def test_sarif_gives_a_file_outside_its_whole_address(folder, monkeypatch):
    """What is not beneath the working directory is not relative to it."""
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    (one,) = json.loads(run("..", "--format", "sarif").stdout)["runs"]
    place = one["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]

    assert place["uri"].startswith("file:///")
    assert "uriBaseId" not in place


def test_github_gets_an_annotation_for_each_finding():
    """High is an error, medium a warning, low a notice; what was not read is a warning."""
    lines = github.render(FULL, Context()).splitlines()

    assert [line.partition(" ")[0] for line in lines[:5]] == [
        "::error",
        "::warning",
        "::notice",
        "::warning",
        "::notice",
    ]
    assert lines[0] == (
        "::error file=agents/a.py,line=4,endLine=4,col=1,title=PEN101 unbounded-gather"
        "::it starts `f` for each%0Afix: safe, `penstock codemod` rewrites it"
    )


def test_github_commands_cannot_be_forged():
    """Neither a path nor a message ends its command or begins another."""
    first, second = github.render(report(found(message=NASTY, path="a,b:c\n::x.py")), Context()).splitlines()

    assert first.startswith("::error file=a%2Cb%3Ac%0A%3A%3Ax.py,line=1,")
    assert "%25 %0A::error::x%0A" in first
    assert second.startswith("3 files audited")


# -- people -------------------------------------------------------------------------------------------------------


def test_markdown_has_a_table_for_each_issue():
    """Severity, place, rule, what, remedy; then the notes and the totals."""
    said = markdown.render(FULL, Context())

    assert said.startswith("## penstock audit: 3 findings (1 high, 1 medium, 1 low)")
    assert "### Issue 1: Unbounded fan-out (3)" in said
    assert (
        "| high | `agents/a.py:4` | PEN101 | it starts `f` for each | fix: safe, `penstock codemod` rewrites it |"
        in said
    )
    assert "- `agents/bad.py`: not audited: does not parse" in said


def test_markdown_shows_what_code_holds_and_obeys_none_of_it():
    """No HTML, no mention of people, no broken table."""
    said = markdown.render(report(found(message=NASTY)), Context())
    (row,) = [line for line in said.splitlines() if line.startswith("| high")]

    assert "<img" not in said
    assert "@all" not in said
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert "`a\\|b`" in row


def test_markdown_fits_into_a_comment():
    """Of a long list it shows the first, and says how to see the rest."""
    said = markdown.render(report(*[found(line=line) for line in range(1, 1000)]), Context())

    assert len(said) < 65_536
    assert "974 more: `penstock audit --select 1`." in said


class _Page(HTMLParser):
    """Collects a page's elements, addresses and words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href", "action"}]

    def handle_data(self, data):
        self.words += data


def test_html_is_one_file_that_loads_nothing():
    """No address in it, and no style that fetches."""
    page = html_page.render(FULL, COMPARED)

    assert _Page(page).addresses == []
    assert not re.search(r"url\(|@import|https?:", page)


def test_html_escapes_what_code_holds():
    """A message with markup is shown as text."""
    plain, nasty = (_Page(html_page.render(report(found(message=each)), Context())) for each in ("plain", NASTY))

    assert sorted(set(nasty.tags)) == sorted({*plain.tags, "code"})
    assert nasty.tags.count("script") == 1
    assert "<img src=x onerror=alert(1)>" in nasty.words


def test_html_counts_by_issue_phase_and_package():
    """Each with its severities; packages are the folders beneath the one that all share."""
    words = _Page(html_page.render(FULL, Context())).words.split()
    said = " ".join(words)

    for part in ("By issue", "By phase", "By package", "1 Unbounded fan-out", "1 stabilization", "agents", "tools"):
        assert part in said


def test_html_shows_the_trend_against_a_baseline():
    """New, still and fixed, counted and listed; without a baseline none of it."""
    compared = _Page(html_page.render(FULL, COMPARED)).words
    plain = _Page(html_page.render(FULL, Context())).words

    assert "4 findings, 3 of them new" in compared
    assert "Fixed since the baseline" in compared
    assert "agents/old.py" in compared
    assert "State" not in plain


def test_a_failure_record_says_what_where_why_and_what_to_do():
    """One record for an issue, made of the findings and the rules' own documentation."""
    record = fracas.render(FULL, Context(paths=(Path("agents"), Path("tools"))))

    for part in ("## Record 1: Unbounded fan-out", "1 high, 1 medium, 1 low", "### Where", "### Cause", "429"):
        assert part in record
    for part in ("### Corrective action", "1 to be mended by hand", "penstock audit agents tools --select 1"):
        assert part in record


def test_a_failure_record_without_findings_says_so():
    """Nothing is invented."""
    assert "Nothing was found." in fracas.render(report(), Context())


# -- the command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "findings"])
def test_every_format_ends_with_the_agreed_status(folder, form, clean):
    """0 is clean, 1 is findings, whatever the format."""
    result = run(".", "--format", form, *(["--ignore", "1"] if clean else []))

    assert result.exit_code == (0 if clean else 1)
    assert result.stdout


def test_fracas_is_a_format_of_its_own(folder):
    """It goes with --output, and not with --format."""
    assert run(".", "--fracas").stdout.startswith("# Failure record")
    assert run(".", "--fracas", "--format", "json").exit_code == 2


def test_output_writes_the_report_to_a_file(folder):
    """Standard output stays empty; what cannot be written is a usage error."""
    result = run(".", "--format", "json", "--output", "report.json")

    assert (result.exit_code, result.stdout) == (1, "")
    assert json.loads(Path("report.json").read_text())["files"] == 1
    assert result.stderr == "1 finding. Report: report.json\n"
    assert run(".", "--output", "nowhere/report.txt").exit_code == 2
    assert list(folder.glob(".*penstock")) == []


def test_lines_are_those_of_the_file_that_was_audited(folder, monkeypatch):
    """Files are found by the path shown, from wherever the audit runs."""
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")

    line = Sources([folder]).line(found(path="one.py", line=4, severity=Severity.LOW))
    assert line == "    await asyncio.gather(*[f(x) for x in xs])"
