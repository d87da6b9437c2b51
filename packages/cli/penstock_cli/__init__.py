"""The `penstock` command: finds the commands that installed packages offer and runs them, nothing else."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the `penstock` command on the program's arguments, and exit with the status of the command it called.

    Exit status: the command's own (0 clean or pass, 1 findings or fail, 2 usage, 3 inconclusive), 130 after Ctrl-C.
    """
    try:
        from penstock_cli._main import run  # Ctrl-C while this imports is still a clean exit

        status = run()
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
