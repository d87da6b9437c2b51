"""Every task of the project: `nox --list` shows them, `nox -s NAME` runs one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "types", "lint"]

ROOT = Path(__file__).parent


def install(session: nox.Session) -> None:
    """Give the session the one environment in which every test and command runs."""
    session.run_install(
        "uv",
        "sync",
        "--quiet",
        "--all-packages",
        "--all-groups",
        "--all-extras",
        f"--python={session.virtualenv.location}",
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
        external=True,
    )


def workers() -> tuple[str, ...]:
    """Have pytest share the files out to processes: one for each processor it may use, and at most four.

    Each is a program with servers of its own, such as a PostgreSQL, and many of its tests start further programs; more
    of them than processors would wait for each other, and above four the longest file is what is waited for. A file
    stays in one process, whose tests may share what is costly. `-n0` after `--` has all in one, as `--pdb` needs it.
    """
    may_use = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"-n{min(may_use, 4)}", "--dist=loadfile"


def penstock(session: nox.Session, *command: str) -> None:
    """Run one penstock command in the folder in which nox was called, and end with its exit status."""
    install(session)
    folder = os.environ.get("NOXFILE_CALLER_DIRECTORY", session.invoked_from)
    status = subprocess.call([Path(session.bin) / "penstock", *command, *session.posargs], cwd=folder)
    if status:
        sys.exit(status)  # nox itself would make 1 of it


@nox.session
def demo(session: nox.Session) -> None:
    """Show the whole journey on a copy of examples/agents: audit, codemod, verify, gate, load before and after."""
    install(session)
    session.run("python", "-m", "examples.demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests."""
    install(session)
    session.run("pytest", "-m", "not slow", *workers(), *session.posargs)


@nox.session(name="tests-slow")
def tests_slow(session: nox.Session) -> None:
    """Run the long tests: full fuzz, storms, kills, wheels, browsers."""
    install(session)
    session.run("pytest", "-m", "slow", *session.posargs)


def tests_of_runtime(session: nox.Session) -> None:
    """Run the runtime's tests on another interpreter, if it is installed: `nox -s tests-3.13`."""
    install(session)
    session.run("pytest", "-m", "not slow", *workers(), *(session.posargs or ("tests/limits", "tests/pooling")))


for _version in ("3.11", "3.12", "3.13", "3.14"):
    nox.session(name=f"tests-{_version}", python=_version)(tests_of_runtime)


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy (strict) and pyright."""
    install(session)
    session.run("mypy")
    session.run("pyright")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and who imports whom."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site, strictly, into site/."""
    install(session)
    session.run("python", "docs/generate.py")
    session.run("mkdocs", "build", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure CPU time side by side with installed peers."""
    install(session)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def perf(session: nox.Session) -> None:
    """Compare the demo's load: limits off against enforced, and without against with the monitor."""
    install(session)
    status = subprocess.call([Path(session.bin) / "python", "-m", "examples.demo.perf", *session.posargs], cwd=ROOT)
    if status:
        sys.exit(status)  # 3 is inconclusive; nox itself would make 1 of it


@nox.session
def accuracy(session: nox.Session) -> None:
    """Re-create the labelled corpus from the package index and print precision and recall per issue."""
    install(session)
    session.run("python", "-m", "tests.accuracy", *session.posargs)


@nox.session
def realworld(session: nox.Session) -> None:
    """Rewrite published projects by the codemods of phase 1 and compare their own tests before and after."""
    install(session)
    session.run("python", "-m", "tests.realworld", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Audit any path: `nox -s audit -- PATH`."""
    penstock(session, "audit")


@nox.session
def codemod(session: nox.Session) -> None:
    """Show what a codemod would rewrite, or rewrite it: `nox -s codemod -- PATH [--write]`."""
    penstock(session, "codemod")


@nox.session
def phase1(session: nox.Session) -> None:
    """Run audit, codemod, verify and gate: `nox -s phase1 -- PATH [--write] [--test-command "..."]`."""
    penstock(session, "phase1")


@nox.session
def flags(session: nox.Session) -> None:
    """List, set or lint flags: `nox -s flags -- list --env production`."""
    penstock(session, "flags")
