"""What the codemod leaves to people: how the stress test takes its results, and who looks at the limits."""

from __future__ import annotations

import difflib
from pathlib import Path

__all__ = ["mend", "watch"]

FILE = "scripts/stress_test.py"
MAIN = "agents/main.py"

Edits = tuple[tuple[str, str], ...]

EDITS: Edits = (
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
FIRST_IMPORT = "\nfrom agents.chat.workflow import ChatWorkflow\n"
MONITOR_IMPORT = "from penstock_monitoring import ConcurrencyMonitor\n"
WATCHED: Edits = (
    (
        "def main(",
        """\
async def work() -> None:
    async with ConcurrencyMonitor(page=0):  # penstock top shows it
        await Worker().run()


def main(""",
    ),
    ("            asyncio.run(Worker().run())\n", "            asyncio.run(work())\n"),
)
DECLARED: Edits = (('    "requests>=2.31",\n', '    "requests>=2.31",\n    "penstock-monitoring",\n'),)


def mend(project: Path) -> str:
    """Make the edits that a person would make of what is left of the findings.

    Args:
        project: The copy of examples/agents.

    Returns:
        What was changed, as a unified diff.

    Raises:
        ValueError: The file is not as these edits expect it.
    """
    return _edited(project, FILE, EDITS)


def watch(project: Path) -> str:
    """Have the worker watched while it works, and declare what that needs; before or after the codemod.

    Args:
        project: The copy of examples/agents.

    Returns:
        What was changed, as a unified diff.

    Raises:
        ValueError: A file is not as these edits expect it.
    """
    follows_ours = "import penstock_limits\n" in (project / MAIN).read_text("utf-8")  # by the codemod
    new = ("" if follows_ours else "\n") + MONITOR_IMPORT + FIRST_IMPORT
    edits = ((FIRST_IMPORT, new), *WATCHED)
    return "\n".join((_edited(project, MAIN, edits), _edited(project, "pyproject.toml", DECLARED)))


def _edited(project: Path, name: str, edits: Edits) -> str:
    file = project / name
    before = after = file.read_text("utf-8")
    for old, new in edits:
        if after.count(old) != 1:
            raise ValueError(f"{name} has changed: {old!r} is not in it once; adapt {__name__}")
        after = after.replace(old, new)
    file.write_text(after, "utf-8")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    return "\n".join(lines)
