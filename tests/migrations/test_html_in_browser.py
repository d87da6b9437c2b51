"""The HTML report in a real browser: it opens from the disk, sorts and filters."""

import re

import pytest
from penstock_migrations._reporting import html_page
from penstock_migrations._reporting.context import Context

from tests.browser import dom, needs_browser
from tests.migrations.reports import FULL

pytestmark = [pytest.mark.slow, needs_browser]
ROW = re.compile(r"<tr\b(?P<attributes>[^>]*)>(?:(?!</tr>).)*?<code>(?P<place>[^:]*):", re.DOTALL)


@pytest.fixture
def shown(tmp_path):
    """Return a function that gives the files of the rows to be seen, in order, after a reader has done something."""

    def after(deed):
        page = html_page.render(FULL, Context()).replace("</body>", f"<script>{deed}</script></body>")
        (tmp_path / "report.html").write_text(page, encoding="utf-8")
        document = dom(f"file://{tmp_path}/report.html", tmp_path / "profile")
        findings = document[document.index('id="findings"') :]
        rows = [
            row for row in ROW.finditer(findings[: findings.index("</tbody>")]) if "hidden" not in row["attributes"]
        ]
        return [row["place"].replace("<wbr>", "") for row in rows]

    return after


def test_a_reader_sees_all_findings_by_place(shown):
    """As they are in the file."""
    assert shown("") == ["agents/a.py", "agents/b.py", "tools/c.py"]


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(shown):
    """By the place: upwards, then downwards."""
    click = "document.querySelector('#findings th:nth-child(3) button').click();"

    assert shown(click) == ["agents/a.py", "agents/b.py", "tools/c.py"]
    assert shown(click * 2) == ["tools/c.py", "agents/b.py", "agents/a.py"]


def test_severities_sort_by_weight(shown):
    """Not by their names, by which `low` would stand between the others."""
    click = "document.querySelector('#findings th:nth-child(1) button').click();"

    assert shown(click) == ["agents/a.py", "agents/b.py", "tools/c.py"]
    assert shown(click * 2) == ["tools/c.py", "agents/b.py", "agents/a.py"]


def test_words_filter(shown):
    """Only rows that have the word are left."""
    type_ = "const i = document.querySelector('.filters input'); i.value = 'tools';"

    assert shown(type_ + "i.dispatchEvent(new Event('input', {bubbles: true}));") == ["tools/c.py"]


def test_a_severity_that_is_not_pressed_is_hidden(shown):
    """The chip of the high ones is pressed at first; a click hides them."""
    assert shown("document.querySelector('[data-chip=high]').click();") == ["agents/b.py", "tools/c.py"]
