"""`penstock verify`: is what the codemod changed sound."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock_migrations._command_line.audit import settings_for
from penstock_migrations._command_line.codemod import reports_option
from penstock_migrations._command_line.interrupting import interruptible
from penstock_migrations._counted import counted

if TYPE_CHECKING:
    from penstock_migrations._proving.user_tests import TestRun
    from penstock_migrations._proving.verify import Snapshot, Verification

__all__ = ["described", "shown_tests", "test_command_option", "timeout_option", "verify"]

_SHOWN = 10  # accusations


def _checked_command(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """Refuse a test command that no shell could split; a program's path is one from where the command is called."""
    from penstock_migrations._proving.user_tests import TestCommandError, parse_command

    if value is None:
        return None
    try:
        program, *arguments = parse_command(value)
    except TestCommandError as error:
        raise click.UsageError(str(error), context) from None
    here = Path.cwd() / program
    return shlex.join([str(here) if "/" in program and here.is_file() else program, *arguments])


test_command_option = click.option(
    "--test-command",
    metavar="COMMAND",
    callback=_checked_command,
    help="Runs your tests, in the project's root: 'pytest -q'.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=900.0,
    show_default=True,
    help="Seconds that one run of your tests may take.",
)


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@test_command_option
@timeout_option
@reports_option
@click.pass_context
def verify(context: click.Context, path: Path, test_command: str | None, timeout: float, reports: Path) -> None:
    """Check what the codemod changed in PATH: nothing came back, nothing is new, it compiles, your tests pass.

    Your tests run with every capability off, and enforced; if they pass, once more under penstock-guard, for the gate.
    Exit status: 0 pass, 1 fail, 2 usage error, 3 inconclusive without your tests.
    """
    from penstock_migrations._command_line.output import console, print_lines
    from penstock_migrations._proving.user_tests import TestCommandError
    from penstock_migrations._proving.verify import Snapshot, runner
    from penstock_migrations._proving.verify import verify as verify_code
    from penstock_migrations._rewriting.project import project_root
    from penstock_migrations._rewriting.write import write_atomically

    settings = settings_for([path])
    snapshot = _read_snapshot(reports / "codemod.json") or Snapshot()
    run = runner(test_command, project_root(path), timeout) if test_command else None
    try:
        with interruptible("your tests were stopped, nothing was changed"):
            verification = verify_code(path, settings, snapshot, run=run and shown_tests(run))
    except TestCommandError as error:
        raise click.UsageError(str(error), context) from None
    reports.mkdir(parents=True, exist_ok=True)
    write_atomically(reports / "verify.json", verification.to_json().encode())
    print_lines(console(), described(verification))
    context.exit(_status(verification))


def shown_tests(
    run: Callable[[str, Mapping[str, Path]], TestRun],
) -> Callable[[str, Mapping[str, Path]], TestRun]:
    """Show on a terminal that the tests run, and in which mode."""
    from penstock_migrations._command_line.output import console
    from penstock_migrations._proving.user_tests import running_tests

    def shown(mode: str, changed: Mapping[str, Path]) -> TestRun:
        with console(stderr=True).status(f"{running_tests(mode)} ..."):
            return run(mode, changed)

    return shown


def described(verification: Verification) -> list[str]:
    """Return what verify saw, line by line."""
    rewritten, mended = counted(len(verification.changed), "rewritten file"), counted(verification.mended, "finding")
    lines = [f"{rewritten}, {mended} mended"]
    lines += [*verification.problems, *verification.broken]
    for run in verification.tests:
        lines.append(f"mode {run.mode}: {run.ending}; {counted(len(run.loaded), 'rewritten file')} loaded")
        lines += [] if run.passed else ["", run.output, ""]
    if verification.guarded is not None:
        lines += _guard_lines(verification.guarded)
    if not verification.tests:
        lines.append('Inconclusive: your tests were not run. Give --test-command "..."')
    return lines


def _guard_lines(run: TestRun) -> list[str]:
    """Return what the guard saw; what concerns another phase, too."""
    if run.guard is None:
        return ["under the guard: no report; install penstock-guard where your tests run, if they are pytest's"]
    seen = [f"  {each.code} {each.check}: {each.message}: {each.place}" for each in run.guard.accusations]
    shown = [*seen[:_SHOWN], *([f"  and {len(seen) - _SHOWN} more"] if len(seen) > _SHOWN else [])]
    return [f"under the guard: {counted(run.guard.tests, 'test')}, {counted(len(seen), 'accusation')}", *shown]


def _read_snapshot(file: Path) -> Snapshot | None:
    from penstock_migrations._proving.verify import Snapshot

    try:
        return Snapshot.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file}: {error}; run penstock codemod --write again, or remove the file") from None


def _status(verification: Verification) -> int:
    if not verification.passed:
        return 1
    return 0 if verification.conclusive else 3
