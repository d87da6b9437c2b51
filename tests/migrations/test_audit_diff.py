"""`--diff`: only findings on lines changed since a revision."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from penstock_migrations.commands import audit

from tests.migrations.reports import DEFECT

SECOND = "\n\nasync def other(ys):\n    await asyncio.gather(*[g(y) for y in ys])\n"
SPREAD = """\
import asyncio

async def run(xs):
    await asyncio.gather(
        *[f(x) for x in xs],
        # here
    )
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a repository on a branch of main, with a defect that main has, too."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    Path("one.py").write_text(DEFECT)
    commit()
    git("switch", "-q", "-c", "work")
    return tmp_path


def git(*arguments):
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


def commit():
    git("add", ".")
    git("commit", "-q", "-m", "x")


def check(*arguments):
    return CliRunner().invoke(audit, [".", "--diff", "main", *arguments])


def test_lines_that_have_not_changed_are_not_reported(folder):
    """The report says so."""
    result = check()

    assert result.exit_code == 0
    assert "Only lines changed since main are reported." in result.stdout


@pytest.mark.parametrize("state", ["in the working tree", "staged", "committed"])
def test_lines_that_have_changed_are_reported(folder, state):
    """Whether they are committed, staged or only written."""
    Path("one.py").write_text(DEFECT + SECOND)
    if state != "in the working tree":
        git("add", ".")
    if state == "committed":
        commit()
    result = check()

    assert result.exit_code == 1
    assert "one.py:8:11" in result.stdout
    assert "one.py:4:11" not in result.stdout


@pytest.mark.parametrize("name", ["new.py", "a b.py", "ä\"'.py", "deep/er/new.py"])
def test_files_that_are_new_are_reported(folder, name):
    """Whatever their names, added or not."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(DEFECT)
    assert check().exit_code == 1

    commit()
    assert check().exit_code == 1


def test_what_came_to_the_other_branch_is_not_reported(folder):
    """Changes count from where the branches part."""
    git("switch", "-q", "main")
    Path("one.py").write_text("# moved\n" + DEFECT)
    commit()
    git("switch", "-q", "work")

    assert check().exit_code == 0


def test_a_file_that_was_only_renamed_has_not_changed(folder):
    """Its lines are the old ones."""
    git("mv", "one.py", "two.py")

    assert check().exit_code == 0


def test_a_line_that_went_from_inside_a_call_changes_the_call(folder):
    """What made it good may have been there."""
    Path("one.py").write_text(SPREAD.replace("# here\n", "# here\n        # limited\n"))
    commit()
    git("branch", "-f", "main")
    Path("one.py").write_text(SPREAD)

    assert check().exit_code == 1


def test_lines_that_look_like_a_diff_are_lines(folder):
    """Added text that begins like a file's header names no file."""
    Path("one.py").write_text(DEFECT + 'TEXT = """\n++ b/other.py\n@@ -1 +1 @@\n"""\n' + SECOND)

    assert "one.py:12:11" in check().stdout


def test_a_baseline_and_a_revision_hold_together(folder):
    """What is known or has not changed is left out."""
    Path("one.py").write_text(DEFECT + SECOND)
    Path("base.json").write_text('{"version": 1, "findings": []}')

    assert "1 finding (" in check("--baseline", "base.json").stdout


@pytest.mark.parametrize("revision", ["nowhere", "--help", "HEAD~99", ""])
def test_an_unknown_revision_is_a_usage_error(folder, revision):
    """With its name; it is never taken for an option."""
    result = CliRunner().invoke(audit, [".", f"--diff={revision}"])

    assert result.exit_code == 2
    assert f"there is no revision {revision!r}" in " ".join(result.stderr.split())


def test_histories_without_a_common_commit_are_a_usage_error(folder):
    """As in a shallow clone."""
    git("switch", "-q", "--orphan", "other")
    Path("one.py").write_text(SECOND)
    commit()
    result = check()

    assert result.exit_code == 2
    assert "git fetch --unshallow" in " ".join(result.stderr.split())


def test_a_folder_without_a_repository_is_a_usage_error(tmp_path, monkeypatch):
    """Said in one line."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    result = check()

    assert result.exit_code == 2
    assert "is in no git repository" in " ".join(result.stderr.split())


def test_a_machine_without_git_is_a_usage_error(folder, monkeypatch):
    """Said in one line."""
    monkeypatch.setenv("PATH", str(folder))
    result = check()

    assert result.exit_code == 2
    assert "git cannot be run" in " ".join(result.stderr.split())
