"""From the program's arguments to an exit status."""

from __future__ import annotations

import click

from penstock_cli._commands import Commands

__all__ = ["run"]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="penstock-cli", prog_name="penstock")
def penstock() -> None:
    """Take a Python agents codebase from unbounded concurrency to bounded, observable, reversible concurrency.

    Exit status of every command: 0 clean or pass, 1 findings or fail, 2 usage, 3 inconclusive, 130 after Ctrl-C.
    """


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: What comes after `penstock`; by default the program's own arguments.
    """
    try:
        result = penstock.main(arguments, prog_name="penstock", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        return 130 if isinstance(error.__cause__, KeyboardInterrupt) else _aborted()
    # Without its standalone mode click returns the status of `ctx.exit(status)` as the result.
    return result if isinstance(result, int) else 0


def _aborted() -> int:
    click.echo("Aborted!", err=True)
    return 1
