"""What the pages say about installing is true: by pip from a checkout, and as a hook of pre-commit."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT
from tests.docs.session import IGNORED

PACKAGES = (
    "./packages/limits",
    "./packages/pooling",
    "./packages/tasks",
    "./packages/guard",
    "./packages/monitoring",
    "./packages/cli",
    "./migrations",
    "./feature_flags",
)
DEFECT = "import asyncio\n\n\nasync def main(urls, fetch):\n    await asyncio.gather(*[fetch(url) for url in urls])\n"
GIT = ("git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.com")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project, as a clone has it."""
    shutil.copytree(ROOT, tmp_path / "penstock", ignore=shutil.ignore_patterns(*IGNORED))
    return tmp_path / "penstock"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The programs of a fresh environment with pip."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "machine")], check=True)
    return tmp_path / "machine" / "bin"


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said."""
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=600)


def test_the_hook_names_every_package_that_the_root_depends_on() -> None:
    """No index has them, so the hook says where they are."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    paths = hook["additional_dependencies"]
    names = {tomllib.loads((ROOT / path / "pyproject.toml").read_text("utf-8"))["project"]["name"] for path in paths}

    assert names == set(project["dependencies"])
    assert tuple(paths) == PACKAGES


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/tutorial.md"])
def test_a_page_that_says_how_to_install_names_every_package(page: str) -> None:
    """In the order in which one needs the other."""
    assert f"pip install {' '.join(PACKAGES)} ." in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.slow
def test_plain_pip_installs_everything_from_a_checkout(checkout: Path, machine: Path) -> None:
    """One command, no uv; afterwards every command can be loaded."""
    installed = run(machine / "pip", "install", "--quiet", *PACKAGES, ".", cwd=checkout)
    shown = run(machine / "penstock", "--help", cwd=checkout)

    assert installed.returncode == 0, installed.stderr
    assert "audit" in shown.stdout
    assert "cannot be loaded" not in shown.stdout


@pytest.mark.slow
def test_pre_commit_runs_the_hook_from_a_clone(checkout: Path, machine: Path, tmp_path: Path) -> None:
    """It stops a commit with a finding, and lets one without pass."""
    assert run(machine / "pip", "install", "--quiet", "pre-commit", cwd=checkout).returncode == 0
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "clone"]):
        assert run(*GIT, *command, cwd=checkout).returncode == 0
    revision = run(*GIT, "rev-parse", "HEAD", cwd=checkout).stdout.strip()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    run(*GIT, "init", "--quiet", cwd=theirs)
    config = {"repos": [{"repo": str(checkout), "rev": revision, "hooks": [{"id": "penstock-audit"}]}]}
    (theirs / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    outcomes = []
    for source in (DEFECT, "x = 1\n"):
        (theirs / "program.py").write_text(source, encoding="utf-8")
        run(*GIT, "add", ".", cwd=theirs)
        hook = [machine / "pre-commit", "run", "penstock-audit"]
        outcomes.append(run(*hook, cwd=theirs, PRE_COMMIT_HOME=str(tmp_path / "hooks")))

    assert [outcome.returncode for outcome in outcomes] == [1, 0], outcomes
    assert "program.py:5:11 PEN101" in outcomes[0].stdout
