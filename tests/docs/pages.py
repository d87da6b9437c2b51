"""The project's pages and the code blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPENING = re.compile(r"^```(?P<language>\S*)[ ]*(?:title=\"(?P<title>[^\"]*)\")?[ ]*$")
NOT_RUN = "not run: "
SLOW = "<!-- slow -->"


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: POSIX path of its page, relative to the project.
        line: Line of its opening fence, from 1.
        language: What follows the fence.
        title: Its title: a file's name, or `not run: ` and the reason; else empty.
        slow: Whether the comment `<!-- slow -->` stands above it.
        source: Its text.
    """

    page: str
    line: int
    language: str
    title: str
    slow: bool
    source: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Return every page of the project as a POSIX path relative to it, examples and change fragments aside."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("packages/*/*.md"), *ROOT.glob("migrations/*.md")]
    found += [*ROOT.glob("feature_flags/*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(page.relative_to(ROOT).as_posix() for page in found)


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    return list(_parse(page, (ROOT / page).read_text(encoding="utf-8").splitlines()))


def _parse(page: str, lines: list[str]) -> Iterator[Block]:
    opening: re.Match[str] | None = None
    start = 0
    for number, line in enumerate(lines):
        if opening is not None:
            if line.strip() == "```":
                slow = SLOW in lines[max(0, start - 2) : start]
                source = "".join(f"{each}\n" for each in lines[start + 1 : number])
                yield Block(page, start + 1, opening["language"], opening["title"] or "", slow, source)
                opening = None
        elif line.lstrip().startswith("```"):
            opening, start = OPENING.match(line), number
            assert opening is not None, f"{page}:{number + 1}: a fence is not indented, and is ```language title=..."
    assert opening is None, f"{page}:{start + 1}: a block that does not end"
