"""`penstock perf`: records what a command costs, and compares it later."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

    from penstock_monitoring._perf.baseline import Baseline
    from penstock_monitoring._perf.run import Run

__all__ = ["perf"]

_EXIT = {"regressed": 1, "same": 0, "better": 0, "inconclusive": 3}

_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Kill a run that takes longer.",
)


@click.group()
def perf() -> None:
    """Record what a command costs, and find out later whether it costs more.

    CPU time and wall time of any command are measured; throughput and latency where the program marks its operations
    with penstock_monitoring.measured.
    """


@perf.command()
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...", type=click.UNPROCESSED)
@click.option("--name", help="What the baseline is called; the file's name by default.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write it; NAME.perf.json by default, and baseline.perf.json without a name.",
)
@click.option("--runs", type=click.IntRange(2), default=20, show_default=True, help="How often to run the command.")
@click.option("--warmup", type=click.IntRange(0), default=1, show_default=True, help="Runs before, not counted.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where to run it; here by default.",
)
@_timeout
def record(
    command: tuple[str, ...],
    *,
    name: str | None,
    output: Path | None,
    runs: int,
    warmup: int,
    folder: Path,
    timeout: float,
) -> None:
    """Run COMMAND several times and keep what it cost.

    Exit status: 0 written, 1 the command failed, 2 usage error.
    """
    from penstock_monitoring._perf.baseline import Baseline
    from penstock_monitoring._perf.files import require_writable
    from penstock_monitoring._perf.table import runs_table

    _refuse_secrets(command, name or "")
    file = output or Path(f"{name or 'baseline'}.perf.json")
    measure = _runner(command, folder, timeout)
    with _answered(failed=1):
        require_writable(file)
        seen = []
        with _progress(warmup + runs, "runs") as advance:
            for number in range(warmup + runs):
                seen.append(measure())
                advance(number + 1)
        counted = tuple(seen[warmup:])
        relative = Path(os.path.relpath(folder.resolve(), file.resolve().parent)).as_posix()
        Baseline(name or file.name.removesuffix(".perf.json"), command, relative, counted).write(file)
    _print(runs_table(counted))
    click.echo(f"{file}: {runs} runs recorded. Compare: penstock perf compare {shlex.quote(str(file))}")


@perf.command()
@click.argument("baseline", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("command", nargs=-1, metavar="[-- COMMAND...]", type=click.UNPROCESSED)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME[=PERCENT]",
    help="Judge cpu, throughput, p50, p99, wall or attempts, and which change matters; may be given several times. "
    "By default cpu=10, throughput=10, p99=25 and attempts=5, or cpu=10 and wall=10 where no operations are marked.",
)
@click.option("--pairs", type=click.IntRange(1), default=50, show_default=True, help="Pairs of runs, at most.")
@click.option(
    "--error",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="The probability of a wrong verdict that is accepted, in turn.",
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to run COMMAND; here by default, and without COMMAND where the baseline was recorded.",
)
@click.option("--recorded", is_flag=True, help="With COMMAND: do not run the baseline's command, take its runs.")
@click.option(
    "--evidence",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what was found into a JSON file.",
)
@_timeout
def compare(
    baseline: Path,
    command: tuple[str, ...],
    *,
    metrics: tuple[str, ...],
    pairs: int,
    error: float,
    folder: Path | None,
    recorded: bool,
    evidence: Path | None,
    timeout: float,
) -> None:
    """Find out whether a command costs more than BASELINE says.

    With COMMAND, it and the baseline's command run in turn, which a busy machine disturbs least. Without, the
    baseline's command runs as it is now, against the runs that were recorded. Runs are repeated until a sequential
    test decides.

    Exit status: 0 same or better, 1 regressed, 2 usage error, 3 inconclusive.
    """
    from penstock_monitoring._perf import comparison as comparing
    from penstock_monitoring._perf.baseline import Baseline
    from penstock_monitoring._perf.files import require_writable

    margins = _margins(metrics)
    with _answered(failed=3):
        known = Baseline.read(baseline)
        if evidence is not None:
            require_writable(evidence)
        there = baseline.resolve().parent / known.folder
        here = folder or (Path() if command else there)
        candidate = _runner(command or known.command, here, timeout)
        same = (command, here.resolve()) == (known.command, there.resolve())  # in turn it would be compared with itself
        alone = recorded or not command or same
        if alone:
            _require_same_machine(baseline, known)
        reference = None if alone else _runner(known.command, there, timeout)
        with _progress(min(pairs, len(known.runs)) if alone else pairs, "pairs") as advance:
            for warm_up in (candidate, reference):
                if warm_up is not None:
                    warm_up()
            found = comparing.compare(
                known.name,
                reference or known.runs,
                candidate,
                margins=margins,
                error=error,
                pairs=pairs,
                after_pair=advance,
            )
        if evidence is not None:
            found.write(evidence)
    _print(found)
    sys.exit(_EXIT[found.verdict.value])


def _runner(command: tuple[str, ...], folder: Path, timeout: float) -> Callable[[], Run]:
    from penstock_monitoring._perf.run import run_command

    return lambda: run_command(command, folder=folder, timeout=timeout)


def _margins(metrics: tuple[str, ...]) -> Mapping[str, float] | None:
    from penstock_monitoring._perf.metrics import MARGINS

    chosen: dict[str, float] = {}
    for each in metrics:
        name, _, percent = each.partition("=")
        if name not in MARGINS:
            raise click.UsageError(f"--metric {each}: unknown metric; known are {', '.join(MARGINS)}")
        try:
            chosen[name] = float(percent) / 100 if percent else MARGINS[name]
        except ValueError:
            raise click.UsageError(f"--metric {each}: {percent!r} is no number of percent") from None
        if not 0.001 <= chosen[name] <= 10:
            raise click.UsageError(f"--metric {each}: allowed are 0.1 to 1000 percent")
    return chosen or None


def _refuse_secrets(command: tuple[str, ...], name: str) -> None:
    from penstock_monitoring._reading.shown import without_secrets

    pairs = ((first, second) for first, second in pairwise(command) if first[:1] == "-" != second[:1])
    options = (f"{option}={value}" for option, value in pairs)
    texts = (each.encode("utf-8", "replace").decode() for each in (name, *command, *options))
    if any(without_secrets(each) != each for each in texts):
        told = "the command or the name has what looks like a secret, and the baseline would keep it"
        raise click.UsageError(f"{told}; pass it in an environment variable")


def _require_same_machine(file: Path, known: Baseline) -> None:
    from penstock_monitoring._perf.baseline import Machine

    here = Machine.this()
    if known.machine != here:
        click.echo(
            f"inconclusive: {file} was recorded on {known.machine}, this is {here}. "
            "Record it here, or give a COMMAND to run both in turn.",
            err=True,
        )
        sys.exit(_EXIT["inconclusive"])


@contextlib.contextmanager
def _answered(*, failed: int) -> Iterator[None]:
    """Answer what goes wrong with a message and a status: that of a command that failed, else 2."""
    from penstock_limits import PenstockError

    from penstock_monitoring._perf.errors import RunError

    try:
        with _ended_by_signals():
            yield
    except PenstockError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(failed if isinstance(error, RunError) else 2)
    except KeyboardInterrupt:
        click.echo("Interrupted: nothing was written.", err=True)
        sys.exit(130)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End what runs, too, when this is told to end; Ctrl-C does so anyway."""

    def end(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    numbers = [getattr(signal, each) for each in ("SIGTERM", "SIGHUP") if hasattr(signal, each)]
    ours = [each for each in numbers if signal.getsignal(each) is signal.SIG_DFL]  # nohup ignores one
    for each in ours:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


@contextlib.contextmanager
def _progress(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far it is, if somebody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(unit, total=total)
        yield lambda done: progress.update(task, completed=done)


def _print(what: RenderableType) -> None:
    from rich.console import Console

    Console(highlight=False).print(what)
