"""What the codemod leaves to people: the stress test decides itself how it takes its results."""

from __future__ import annotations

import difflib
from pathlib import Path

__all__ = ["mend"]

FILE = "scripts/stress_test.py"

EDITS = (
    ("from collections import Counter\n", "from collections import Counter\nfrom functools import partial\n"),
    ("from agents.provider import", "import penstock_flags\nimport penstock_limits\n\nfrom agents.provider import"),
    (
        """\
    tasks = []
    for number in range(calls):
        tasks.append(asyncio.ensure_future(one_call(provider, number)))
    outcomes: Counter[str] = Counter()
    for task in asyncio.as_completed(tasks):
        outcomes[await task] += 1
""",
        """\
    call = partial(one_call, provider)
    outcomes: Counter[str] = Counter()
    async for outcome in penstock_limits.bounded_map(call, range(calls), limit="stress_test", ordered=False):
        outcomes[outcome] += 1
""",
    ),
    ("def main() -> None:\n", "def main() -> None:\n    penstock_limits.set_mode_source(penstock_flags.open())\n"),
)


def mend(project: Path) -> str:
    """Make the edits that a person would make.

    Args:
        project: The copy of examples/agents.

    Returns:
        What was changed, as a unified diff.

    Raises:
        ValueError: The file is not as these edits expect it.
    """
    file = project / FILE
    before = after = file.read_text("utf-8")
    for old, new in EDITS:
        if after.count(old) != 1:
            raise ValueError(f"{FILE} has changed: {old!r} is not in it once; adapt {__name__}")
        after = after.replace(old, new)
    file.write_text(after, "utf-8")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{FILE}", f"b/{FILE}", lineterm="")
    return "\n".join(lines)
