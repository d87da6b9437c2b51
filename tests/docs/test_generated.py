"""Pages that are written from the code say what the code says."""

import re

import pytest
from penstock_monitoring import METRICS

from docs.generate import DOCS, render
from tests.docs.pages import ROOT, pages

PAGES = render()


@pytest.mark.parametrize("path", PAGES)
def test_a_generated_page_is_up_to_date(path: str) -> None:
    """If this fails, run `python docs/generate.py`."""
    assert (DOCS / path).read_text(encoding="utf-8") == PAGES[path]


def test_every_page_has_its_place_in_the_navigation() -> None:
    """A page that nothing leads to is not read; and nothing leads nowhere."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]

    listed = re.findall(r"\S+\.md$", navigation, flags=re.MULTILINE)

    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md"))


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    """As it stands at the top of the file that defines them."""
    tree = (ROOT / "packages/limits/penstock_limits/_errors.py").read_text(encoding="utf-8").partition('"""')[2]
    tree = "PenstockError\n" + tree.partition("PenstockError\n")[2].partition('\n"""')[0]

    assert tree in (DOCS / "runtime/index.md").read_text(encoding="utf-8")


def test_a_metric_that_a_page_names_is_one() -> None:
    """Whatever begins like one, and is neither a package, nor a setting of the guard, nor the label of the alerts."""
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in pages())
    packages = {path.name for path in ROOT.glob("*/penstock_*")} | {
        path.name for path in ROOT.glob("packages/*/penstock_*")
    }

    named = {name for name in re.findall(r"\bpenstock_[a-z0-9_]+", text) if not name.startswith("penstock_guard_")}

    assert named - {metric.name for metric in METRICS} - packages == {"penstock_docs"}
