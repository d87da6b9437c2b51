"""`python -m examples.demo`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from examples.demo._demo import demo
from examples.demo._programs import ROOT, ProgramError
from examples.demo._screen import Screen


def main() -> int:
    """Run the demo; returns 0 if every claim holds, 1 if one does not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="The whole journey, on a copy.")
    parser.add_argument(
        "--report", type=Path, default=ROOT / "reports" / "demo.html", help="where to write the report (%(default)s)"
    )
    options = parser.parse_args()
    screen = Screen()
    try:
        holds = asyncio.run(demo(options.report, screen))
    except KeyboardInterrupt:
        screen.console.print("Interrupted; every process of the demo has ended and the copies are removed.")
        return 130
    except (ProgramError, TimeoutError, OSError, ValueError) as error:
        screen.console.print(f"The demo cannot go on: {error or type(error).__name__}", style="red", markup=False)
        return 1
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
