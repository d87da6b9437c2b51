"""The built site reads without a network."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import penstock_flags
import penstock_guard
import penstock_limits
import penstock_monitoring
import penstock_pooling
import penstock_tasks
import pytest

from tests.browser import dom, needs_browser
from tests.docs.pages import ROOT

LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"'](https?:)?//[^\"']+", re.IGNORECASE)
STYLE = re.compile(r"url\([\"']?(https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `nox -s docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    result = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """No font, script, style or picture comes from a CDN."""
    pages = list(site.rglob("*.html"))

    assert len(pages) > 20
    assert [page.name for page in pages if LOADED.search(page.read_text(encoding="utf-8"))] == []


def test_no_style_loads_anything_from_elsewhere(site: Path) -> None:
    """Nor do the style sheets."""
    styles = list(site.rglob("*.css"))

    assert styles
    assert [style.name for style in styles if STYLE.search(style.read_text(encoding="utf-8"))] == []


def test_the_site_can_be_searched_from_the_disk(site: Path) -> None:
    """The index is a script, and the frame that stands in for a worker is ours."""
    page = (site / "index.html").read_text(encoding="utf-8")

    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index = {")
    assert '<script src="assets/iframe-worker.js">' in page


@pytest.mark.slow
@needs_browser
def test_a_browser_finds_what_is_searched_on_the_disk(site: Path, tmp_path: Path) -> None:
    """The search answers without a server and without a network."""
    shown = dom(f"file://{site}/index.html?q=lending", tmp_path)

    assert re.search(r"[1-9]\d* matching documents", shown)
    assert "design/nesting.html" in shown


@pytest.mark.parametrize(
    ("page", "package"),
    [
        ("limits", penstock_limits),
        ("pooling", penstock_pooling),
        ("tasks", penstock_tasks),
        ("guard", penstock_guard),
        ("monitoring", penstock_monitoring),
        ("flags", penstock_flags),
    ],
)
def test_the_reference_has_every_public_name(site: Path, page: str, package: ModuleType) -> None:
    """What is in `__all__` has a place that can be linked to."""
    reference = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")

    assert [name for name in package.__all__ if f'id="{package.__name__}.{name}"' not in reference] == []


def test_what_loads_from_elsewhere_would_be_found() -> None:
    """The expressions know what to look for."""
    assert LOADED.search('<script async src="https://example.com/a.js">')
    assert LOADED.search("<link rel=stylesheet href='//example.com/a.css'>")
    assert not LOADED.search('<a href="https://example.com/">')
    assert STYLE.search("src: url(https://example.com/a.woff2)")
