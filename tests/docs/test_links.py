"""Links lead somewhere. Those within docs/ are checked by the strict build."""

import re

import pytest

from tests.docs.pages import ROOT, pages

LINK = re.compile(r"\]\(([^)#\s]+)")


@pytest.mark.parametrize("page", [page for page in pages() if not page.startswith("docs/")])
def test_a_link_of_a_readme_leads_to_a_file(page: str) -> None:
    """Relative to the page, as the web shows it."""
    targets = [link for link in LINK.findall((ROOT / page).read_text(encoding="utf-8")) if "://" not in link]

    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []
