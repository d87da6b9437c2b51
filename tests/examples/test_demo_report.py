"""The report is one file that opens anywhere."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from examples.demo._checks import Check
from examples.demo._load import Flip, Load
from examples.demo._measure import Request, Window, measure
from examples.demo._report import write_report

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Nesting(HTMLParser):
    """Notes tags that are closed by another, and everything that a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "data")]

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture
def report(tmp_path):
    windows = [Window(name, start, start + 5, 0, None) for start, name in ((0, "before"), (10, "off"), (20, "enforce"))]
    requests = [
        Request(window.start + 0.1 * number, window.start + 0.1 * number + 1, 429 if number > 20 else 200, 9, number)
        for window in windows
        for number in range(30)
    ]
    connections = [(window.start + at, 90 // (at + 1)) for window in windows for at in range(5)]
    seen = Load(windows, [Flip("enforce", 0.5)], requests, [], connections, pid=4711)
    figures = [measure(window, requests, [], connections) for window in windows]
    checks = [
        Check("One holds", holds=True, figures="1 < 2"),
        Check("Another <fails>", holds=False, figures="$5 & more"),
    ]
    file = tmp_path / "new" / "report.html"
    write_report(file, seen, figures, checks, limit=20, provider_limit=24, pool=20)
    return file.read_text("utf-8")


def test_it_loads_nothing(report):
    """No address, script, font or picture: it opens without a network."""
    parser = Nesting()
    parser.feed(report)

    assert parser.loads == []
    assert "<script" not in report
    assert not re.search(r"url\(|@import|https?:", report)


def test_its_tags_are_nested(report):
    """Whatever is opened is closed, in order."""
    parser = Nesting()
    parser.feed(report)

    assert (parser.wrong, parser.open) == ([], [])


def test_its_charts_are_read_aloud(report):
    """Each chart is an image with a title and a description of what it shows."""
    charts = [ET.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", report, re.DOTALL)]

    assert len(charts) == 4
    for chart in charts:
        ids = {each.get("id") for each in chart.iter() if each.tag in ("title", "desc") and each.text}
        assert chart.get("role") == "img"
        assert set(chart.get("aria-labelledby").split()) == ids


def test_it_says_what_fails_and_text_stays_text(report):
    """A claim that does not hold is in the verdict, and no text becomes markup."""
    assert "1 of 2 claims do not hold" in report
    assert "Another &lt;fails&gt; <span>$5 &amp; more</span>" in report


def test_nothing_is_left_beside_it(report, tmp_path):
    """It is written whole or not at all; no temporary file stays."""
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["report.html"]
