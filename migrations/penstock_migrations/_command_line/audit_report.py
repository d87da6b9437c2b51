"""Shows a rule, and the progress of an audit, with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from penstock_migrations.rule import Rule

__all__ = ["print_rule", "progress_bar"]


def print_rule(rule: Rule) -> None:
    """Print a rule's documentation."""
    title = f"# {rule.code} {rule.name}\n\nIssue {rule.issue}, phase {rule.phase}.\n\n"
    Console().print(Markdown(title + rule.documentation))


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error while a long run lasts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield progress
