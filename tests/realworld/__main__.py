"""Let the codemods of phase 1 rewrite published projects, and compare their own tests before and after."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import platformdirs
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tests.realworld._projects import PROJECTS, Project
from tests.realworld._results import Difference, Run, differences
from tests.realworld._running import RealWorldError, environment, fetch, rewrite, run_tests

DEFAULT_CACHE = Path(platformdirs.user_cache_dir("penstock", appauthor=False)) / "realworld"
MODES = ("off", "observe", "enforce")
NAMES = [project.name for project in PROJECTS]
SHOWN = 20  # differences, and reasons why tests did not run


@click.command()
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_CACHE, show_default=True)
@click.option("--project", "names", type=click.Choice(NAMES), multiple=True, help="Only this one; all without it.")
def main(cache: Path, names: tuple[str, ...]) -> None:
    """Compare the results of projects' own tests before and after the codemods, test by test, in every mode.

    Exit status: 0 if they are identical, 1 if not, 3 if a project could not be fetched or run.
    """
    console = Console(soft_wrap=True)
    cache = cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    same = True
    try:
        for project in PROJECTS:
            if not names or project.name in names:
                same &= _compare(project, cache, console)
    except RealWorldError as error:
        click.echo(f"Inconclusive: {error}", err=True)
        sys.exit(3)
    sys.exit(0 if same else 1)


def _compare(project: Project, cache: Path, console: Console) -> bool:
    record = cache / f"{project.name}.json"
    with console.status(f"{project.name}: fetching, installing") as status:
        source = fetch(project, cache)
        python = environment(project, source, cache)
        status.update(f"{project.name}: its tests, as it is")
        before = run_tests(project, source, python, "off", record)
        status.update(f"{project.name}: the codemods")
        changed = rewrite(source)
        after: dict[str, Run] = {}
        for mode in MODES:
            status.update(f"{project.name}: its tests, rewritten, mode {mode}")
            after[mode] = run_tests(project, source, python, mode, record)
    found = {mode: differences(before, run) for mode, run in after.items()}
    console.print(_table(project, before, after, found))
    _explain(project, source, changed, after, found, console)
    return bool(before.outcomes) and not any(found.values())


def _table(project: Project, before: Run, after: dict[str, Run], found: dict[str, list[Difference]]) -> Table:
    outcomes = sorted({one for run in (before, *after.values()) for one in run.counts})
    table = Table(
        "", *outcomes, "against before", title=f"{project.name} {project.version}", title_justify="left", box=SIMPLE
    )
    table.add_row("as it is", *(str(before.counts[one]) for one in outcomes), "")
    for mode, run in after.items():
        verdict = f"{len(found[mode])} differ" if found[mode] else "identical"
        table.add_row(f"rewritten, {mode}", *(str(run.counts[one]) for one in outcomes), verdict)
    return table


def _explain(
    project: Project,
    source: Path,
    changed: list[str],
    after: dict[str, Run],
    found: dict[str, list[Difference]],
    console: Console,
) -> None:
    loaded = after["enforce"].loaded
    console.print(f"  Rewritten: {len(changed)} files")
    for file in changed:
        seen = "loaded by the tests" if str(source / file) in loaded else "not loaded by the tests"
        console.print(f"    {file}: {seen}", highlight=False)
    console.print(f"  Not run: {project.skipped}")
    reasons = after["off"].reasons
    skipped = {test: reason for test, reason in reasons.items() if after["off"].outcomes[test] != "passed"}
    for reason in sorted(set(skipped.values()))[:SHOWN]:
        tests = [test for test, why in skipped.items() if why == reason]
        console.print(f"    {len(tests)} of {tests[0]}: {reason}", highlight=False, markup=False)
    for mode, differing in found.items():
        for one in differing[:SHOWN]:
            said = f"  mode {mode}: {one.test}: {one.before} -> {one.after}  {one.reason}"
            console.print(said, highlight=False, markup=False)


if __name__ == "__main__":
    main()
