"""Re-create the corpus, audit it, and print precision and recall for each issue."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import platformdirs
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.files import discover
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations.rule import Finding
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.accuracy._corpus import FetchError, Label, fetch, labels
from tests.accuracy._score import Score, score

BAR = (0.90, 0.85)  # precision and recall, of each issue
WITHOUT_ONE = (0.80, 0.75)  # the same, whichever package is left out, where an issue has many defects
MANY = 20
DEFAULT_CACHE = Path(platformdirs.user_cache_dir("penstock", appauthor=False)) / "accuracy"


@click.command()
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_CACHE, show_default=True)
@click.option("--issue", type=click.IntRange(1, 8), help="Only this issue; all that have rules without it.")
@click.option("--file", "name", default="*", help="Only the labels of one file: development, issue7.")
@click.option("--labelled-only", is_flag=True, help="Audit the labelled files alone: fast, and blind to all others.")
@click.option("--verbose", is_flag=True, help="List what was missed and what was accused wrongly.")
def main(cache: Path, issue: int | None, name: str, labelled_only: bool, verbose: bool) -> None:
    """Measure the audit on hand-labelled packages.

    Exit status: 0 if the bars hold, 1 if not, 3 if a package could not be fetched.
    """
    issues = {issue} if issue else {rule.issue for rule in rules()}
    wanted = [label for label in labels(name) if label.issue in issues]
    try:
        findings = _findings(wanted, cache, labelled_only=labelled_only)
    except FetchError as error:
        click.echo(f"Inconclusive: {error}", err=True)
        sys.exit(3)
    scores = {
        one: score([label for label in wanted if label.issue == one], findings)
        for one in sorted({label.issue for label in wanted})
    }
    _print(scores, verbose)
    sys.exit(0 if all(map(_holds, scores.values())) else 1)


def _findings(wanted: list[Label], cache: Path, *, labelled_only: bool) -> list[tuple[str, str, Finding]]:
    found = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        packages = {label.package for label in wanted}
        fetching = bar.add_task("Fetching", total=len(packages))
        folders = fetch(sorted(packages), cache.absolute(), lambda: bar.advance(fetching))
        auditing = bar.add_task("Auditing", total=len(folders))
        for package, folder in sorted(folders.items()):
            labelled = sorted({folder / label.path for label in wanted if label.package == package})
            paths = labelled if labelled_only else [folder]
            for path in paths:  # one by one: files of one name in several folders are shown alike
                places = {one.shown: one.file.relative_to(folder).as_posix() for one in discover([path])}
                report = audit([path], Settings())
                found += [(package, places[finding.path], finding) for finding in report.findings]
            bar.advance(auditing)
    return found


def _print(scores: dict[int, Score], verbose: bool) -> None:
    title = "Bars: precision {:.2f}, recall {:.2f}; without any one package {:.2f}, {:.2f}".format(*BAR, *WITHOUT_ONE)
    columns = ("issue", "defects", "found", "missed", "wrong", "precision", "recall", "without one")
    table = Table(*columns, title=title, title_justify="left", box=SIMPLE)
    for issue, result in scores.items():
        counts = [len(result.found) + len(result.missed), len(result.found), len(result.missed), len(result.wrong)]
        rates = (f"{result.precision:.3f}", f"{result.recall:.3f}", "{:.2f} / {:.2f}".format(*_least(result)))
        table.add_row(str(issue), *map(str, counts), *rates)
    Console().print(table)
    if verbose:
        for result in scores.values():
            for title, found in (("missed", result.missed), ("wrongly accused", result.wrong)):
                for label in found:
                    click.echo(f"{title}: {_place(label)}")


def _place(label: Label) -> str:
    return f"{label.package} {label.path}:{label.line} ({label.shape}: {label.reason})"


def _holds(result: Score) -> bool:
    few = len(result.found) + len(result.missed) < MANY
    least = WITHOUT_ONE if few else _least(result)
    robust = least[0] >= WITHOUT_ONE[0] and least[1] >= WITHOUT_ONE[1]
    return result.precision >= BAR[0] and result.recall >= BAR[1] and robust


def _least(result: Score) -> tuple[float, float]:
    """Return the least precision and the least recall, whichever package is left out."""
    others = [result.without(package) for package in result.packages] or [result]
    return min(one.precision for one in others), min(one.recall for one in others)


if __name__ == "__main__":
    main()
