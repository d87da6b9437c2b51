"""Fetches a project, makes its environment, runs its tests, and lets the codemod rewrite it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from penstock_migrations._auditing.rules import rules

from tests.realworld._projects import Project
from tests.realworld._results import Run, recorded

__all__ = ["RealWorldError", "environment", "fetch", "rewrite", "run_tests"]

ROOT = Path(__file__).parents[2]
RUNTIME = ("packages/limits", "packages/pooling", "packages/tasks", "feature_flags")
PATIENCE = 1_200  # seconds for one run of a project's tests


class RealWorldError(Exception):
    """A project could not be fetched, installed or run."""


def _call(*command: str | Path, cwd: Path | None = None, allowed: Sequence[int] = (0,)) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RealWorldError(f"{Path(command[0]).name} ended with {done.returncode}: {' | '.join(said[-3:])}")
    return done.stdout


def fetch(project: Project, folder: Path) -> Path:
    """Return a fresh copy of a project, from its source distribution, which is downloaded once.

    Raises:
        RealWorldError: It could not be downloaded.
    """
    archive = folder / f"{project.folder}.tar.gz"
    if not archive.exists():
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
        _call(*pip, "--no-binary", ":all:", "--dest", folder, f"{project.name}=={project.version}")
    unpacked = folder / project.folder
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as found:
        found.extractall(folder, filter="data")
    return unpacked


def environment(project: Project, source: Path, folder: Path) -> Path:
    """Return the interpreter of an environment of its own, with the project, what its tests need, and our runtime.

    Raises:
        RealWorldError: uv is not there, or something cannot be installed.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise RealWorldError("uv makes the environments: `pip install uv`, and run again")
    place = folder / f"{project.name}-environment"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        _call(uv, "venv", "--quiet", "--python", sys.executable, place)
    extras = f"[{','.join(project.extras)}]" if project.extras else ""
    editable = [part for one in RUNTIME for part in ("--editable", str(ROOT / one))]
    wanted = ("--editable", f"{source}{extras}", *project.requirements, *editable)
    _call(uv, "pip", "install", "--quiet", "--python", python, *wanted)
    return python


def run_tests(project: Project, source: Path, python: Path, mode: str, record: Path) -> Run:
    """Run a project's own tests in one mode, without what our own environment says.

    Raises:
        RealWorldError: They did not come to an end.
    """
    ours = ("PENSTOCK_", "PYTEST_", "COV_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    variables |= {
        "PENSTOCK_MODE": mode,
        "PENSTOCK_REALWORLD_RECORD": str(record),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    record.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", "-q", "-p", "_recorder", "-p", "no:cacheprovider", "--tb=short"]
    command += ["--continue-on-collection-errors", *project.arguments]
    try:
        done = subprocess.run(
            command,
            cwd=source,
            env=variables | project.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise RealWorldError(f"the tests in mode {mode} did not end within {PATIENCE} s") from None
    if not record.exists():
        raise RealWorldError(f"the tests in mode {mode} left no record: {done.stdout[-500:]}{done.stderr[-500:]}")
    return recorded(record.read_text(encoding="utf-8"))


def rewrite(source: Path) -> list[str]:
    """Let the codemods of phase 1 rewrite a project, and return the Python files that they changed.

    Raises:
        RealWorldError: The codemod failed.
    """
    before = {file: file.read_bytes() for file in source.rglob("*.py")}
    codes = ",".join(rule.code for rule in rules() if rule.phase == 1)
    command = (sys.executable, "-m", "penstock_cli", "codemod", ".", "--select", codes, "--write")
    _call(*command, cwd=source, allowed=(0, 1))  # 1: something is left to people
    return sorted(
        file.relative_to(source).as_posix() for file in source.rglob("*.py") if before.get(file) != file.read_bytes()
    )
