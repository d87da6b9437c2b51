"""What a page shows, happens."""

from pathlib import Path

import pytest

from tests.docs.pages import NOT_RUN, Block, blocks, pages
from tests.docs.session import Session, assert_same

WITH_BLOCKS = [page for page in pages() if blocks(page)]
WITH_SLOW_BLOCKS = [page for page in WITH_BLOCKS if any(block.slow for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_a_reader_who_follows_a_page_sees_what_it_shows(page: str, tmp_path: Path) -> None:
    """Every block of the page, in order; slow ones aside."""
    session = Session(page, tmp_path / "folder")

    for block in blocks(page):
        if not block.slow:
            session.do(block)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_SLOW_BLOCKS)
def test_a_reader_with_time_sees_what_a_page_shows(page: str, tmp_path: Path) -> None:
    """Every block of the page, in order, the slow ones too."""
    session = Session(page, tmp_path / "folder")

    for block in blocks(page):
        session.do(block)


def test_a_block_that_is_not_run_says_why() -> None:
    """In its title, where the reader sees it; and they are few."""
    not_run = [block for page in WITH_BLOCKS for block in blocks(page) if block.title.startswith(NOT_RUN)]

    assert all(len(block.title) > len(NOT_RUN) for block in not_run)
    assert len(not_run) <= 6, [str(block) for block in not_run]


def test_a_file_with_a_name_is_used_by_its_page() -> None:
    """A block whose title is a program or a patch is only written; a command further down runs or applies it."""
    for page in WITH_BLOCKS:
        shown = blocks(page)
        commands = "".join(block.source for block in shown if block.language in {"bash", "console"})

        assert [
            block.title for block in shown if block.title.endswith((".py", ".patch")) and block.title not in commands
        ] == []


@pytest.mark.parametrize(
    ("shown", "happens"),
    [
        (["a", "b"], ["a", "", "b  "]),
        (["took ... ms"], ["took 12.5 ms"]),
        (["first", "...", "last"], ["first", "second", "third", "last"]),
        (["...", "last"], ["last"]),
    ],
)
def test_what_a_page_leaves_out_may_be_anything(shown: list[str], happens: list[str]) -> None:
    """`...` stands for a part of a line or for whole lines; empty lines and trailing spaces do not count."""
    assert_same(Block("page.md", 1, "console", title="", slow=False, source=""), shown, happens)


@pytest.mark.parametrize(
    ("shown", "happens"), [(["a"], ["b"]), (["a"], ["a", "b"]), (["a", "b"], ["a"]), (["a", "...", "c"], ["a", "b"])]
)
def test_a_page_that_shows_something_else_fails(shown: list[str], happens: list[str]) -> None:
    """The message shows the difference."""
    with pytest.raises(pytest.fail.Exception, match="the page"):
        assert_same(Block("page.md", 1, "console", title="", slow=False, source=""), shown, happens)
