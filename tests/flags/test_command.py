"""`penstock flags`: what it prints, what it writes, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import penstock_flags._writer
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from penstock_flags._project import ENVIRONMENTS, Project
from penstock_flags.commands import flags

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(flags, arguments)


def test_init_list_set_lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A project's way: write the files, look, set, and lint, all from a folder within it."""
    monkeypatch.chdir(tmp_path)
    assert run("init").exit_code == 0
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")

    assert run("set", "bounded-fanout", "enforce", "--env", "canary", "--percent", "10").output == (
        "bounded-fanout in canary: off -> off 90%, enforce 10%\n"
    )
    assert "off 90%, enforce 10%" in run("list").output
    assert "off 90%" not in run("list", "--env", "production").output
    assert run("lint").output == f"{tmp_path / 'feature_flags'}: 4 environments, nothing wrong\n"


def test_init_overwrites_nothing(directory: Path, production: Path):
    """Files that are there stay as they are, and no other is written beside them."""
    (directory / "flags.toml").unlink()
    before = production.read_bytes()
    result = run("init", "--directory", str(directory))

    assert result.exit_code == 2
    assert "already there, and left alone: " in result.output
    assert production.read_bytes() == before
    assert not (directory / "flags.toml").exists()


def test_init_that_fails_leaves_nothing(tmp_path: Path):
    """A file that cannot be written takes the ones before it along."""
    (tmp_path / "environments").write_text("a file where a folder should be")
    result = run("init", "--directory", str(tmp_path))

    assert result.exit_code == 1
    assert "nothing written: " in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["environments"]


def test_init_writes_what_lint_passes(directory: Path):
    """A new project has the four environments, and nothing to complain of."""
    project = Project(directory)

    assert tuple(project.environments) == ENVIRONMENTS
    assert project.lint(project.environments) == []


def test_set_changes_one_flag_and_keeps_the_rest(directory: Path, production: Path):
    """Whatever else stands in the file stays, in its order."""
    document = json.loads(production.read_text())
    document["flags"]["colour"] = {"key": "colour", "version": 3, "variations": ["red"], "offVariation": 0}
    document["segments"] = {"big": {"key": "big", "version": 1, "included": ["ann"]}}
    production.write_text(json.dumps(document))
    production.chmod(0o640)
    assert run("set", "bounded-fanout", "observe", "--env", "production", "--directory", str(directory)).exit_code == 0
    changed = json.loads(production.read_text())

    assert production.stat().st_mode & 0o777 == 0o640
    assert changed["segments"] == document["segments"]
    assert changed["flags"]["colour"] == document["flags"]["colour"]
    assert changed["flags"]["bounded-fanout"]["version"] == 2


def test_set_writes_through_a_link(directory: Path, production: Path, tmp_path: Path):
    """Where the environment's file is a link, the file behind it is replaced, and the link stays."""
    behind = production.rename(tmp_path / "shared.json")
    production.symlink_to(behind)
    assert run("set", "bounded-fanout", "observe", "--env", "production", "--directory", str(directory)).exit_code == 0

    assert production.is_symlink()
    assert json.loads(behind.read_text())["flags"]["bounded-fanout"]["on"] is True


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["bounded-fan", "off", "--env", "canary"], "no flag 'bounded-fan' is declared in flags.toml; declared are"),
        (["bounded-fanout", "on", "--env", "canary"], "'on' is not one of 'off', 'observe', 'enforce'"),
        (["bounded-fanout", "off", "--env", "live"], "unknown environment 'live'; allowed are: development, staging"),
        (["bounded-fanout", "off"], "Missing option '--env'"),
        (["bounded-fanout", "off", "--env", "canary", "--percent", "101"], "101.0 is not in the range"),
        (["bounded-fanout", "off", "--env", "canary", "--percent", "10"], "every instance has off already"),
    ],
)
def test_wrong_use_is_status_2_and_writes_nothing(directory: Path, arguments: list[str], complaint: str):
    """A wrong flag, mode, environment or share is a usage error that lists what is allowed."""
    before = {path: path.read_bytes() for path in directory.rglob("*.json")}
    result = run("set", *arguments, "--directory", str(directory))

    assert result.exit_code == 2
    assert complaint in result.output
    assert {path: path.read_bytes() for path in directory.rglob("*.json")} == before


def test_set_leaves_a_broken_file_alone(directory: Path, production: Path):
    """A file that is wrong already is not written over; what is wrong is said, with status 1."""
    production.write_text('{"flags": ')
    result = run("set", "bounded-fanout", "off", "--env", "production", "--directory", str(directory))

    assert result.exit_code == 1
    assert f"{production}: no JSON" in result.output
    assert production.read_text() == '{"flags": '


def test_set_gives_up_on_a_lock(directory: Path, monkeypatch: pytest.MonkeyPatch):
    """A lock that somebody else does not give back ends the command with a clear line."""
    monkeypatch.setattr(penstock_flags._writer, "LOCK_SECONDS", 0.01)
    with FileLock(directory / "environments" / ".lock"):
        result = run("set", "bounded-fanout", "observe", "--env", "production", "--directory", str(directory))

    assert result.exit_code == 1
    assert "nothing written: another process has been writing flags" in result.output


def test_command_says_when_files_do_not_count(directory: Path, monkeypatch: pytest.MonkeyPatch):
    """With LaunchDarkly's key set, the command says that programs follow LaunchDarkly, and does not show the key."""
    monkeypatch.setenv("LAUNCHDARKLY_SDK_KEY", "sdk-secret")
    result = run("set", "bounded-fanout", "observe", "--env", "production", "--directory", str(directory))

    assert result.exit_code == 0
    assert "programs follow LaunchDarkly and not these files" in result.output
    assert "secret" not in result.output


def test_lint_tells_everything_with_status_1(directory: Path, production: Path):
    """Every file's problems are listed in one run."""
    production.write_text("{}")
    (directory / "environments" / "canary.json").write_text('{"flags": {}}')
    result = run("lint", "--directory", str(directory))

    assert result.exit_code == 1
    *canary, missing = result.output.splitlines()
    assert [line.partition(";")[0] for line in canary] == [
        f"{directory}/environments/canary.json: flags.{flag}: missing"
        for flag in ("bounded-fanout", "pooled-database", "managed-threads")
    ]
    assert missing == f"{production}: flags: missing"


def test_lint_tells_of_a_broken_declaration(directory: Path):
    """A broken flags.toml is told by lint and by list, with status 1."""
    (directory / "flags.toml").write_text("[flags.x]")

    assert run("lint", "--directory", str(directory)).exit_code == 1
    assert "flags.x.owner: missing" in run("list", "--directory", str(directory)).output


def test_list_shows_what_can_be_read(directory: Path, production: Path):
    """One unreadable environment does not hide the others."""
    production.write_text("{")
    result = run("list", "--directory", str(directory))

    assert result.exit_code == 1
    assert "unreadable" in result.output
    assert "off" in result.output
    assert f"{production}: no JSON" in result.output


def test_list_marks_flags_that_have_served(directory: Path):
    """A flag that enforces for everyone in every environment is marked as stale, and one with a share is not."""
    for environment in ENVIRONMENTS:
        run("set", "bounded-fanout", "enforce", "--env", environment, "--directory", str(directory))
    assert "stale: enforced everywhere" in run("list", "--directory", str(directory)).output
    run("set", "bounded-fanout", "observe", "--env", "canary", "--percent", "5", "--directory", str(directory))

    assert "stale" not in run("list", "--directory", str(directory)).output


@pytest.mark.parametrize("arguments", [["list"], ["lint"], ["set", "bounded-fanout", "off", "--env", "canary"]])
def test_no_flags_anywhere_says_how_to_begin(arguments: list[str]):
    """Outside of any project each command says how to name one or to begin one."""
    result = run(*arguments)

    assert result.exit_code == 2
    assert "--directory or PENSTOCK_FLAGS_DIRECTORY, or write one with: penstock flags init" in result.output


def test_folder_that_is_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder without flags is refused, whether an option or the environment names it."""
    monkeypatch.setenv("PENSTOCK_FLAGS_DIRECTORY", str(tmp_path / "nowhere"))

    assert "no flags in" in run("list").output
    assert run("list", "--directory", str(tmp_path)).exit_code == 2


def test_this_repositorys_flags_are_good():
    """The flags of this repository pass their own linter."""
    project = Project(ROOT / "feature_flags")

    assert tuple(project.environments) == ENVIRONMENTS
    assert project.lint(project.environments) == []
