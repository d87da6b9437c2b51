"""Where flags come from, and what is said when they cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import penstock_flags
import pytest

from tests.flags.conftest import Log


def test_new_project_has_every_mode_off(directory: Path):
    """A new project's flags are off in every environment."""
    for environment in ("development", "staging", "canary", "production"):
        with penstock_flags.open(environment, directory) as flags:
            assert flags.mode("bounded-fanout") == "off"


def test_environment_variables_say_where_and_which(directory: Path, put, monkeypatch: pytest.MonkeyPatch):
    """Folder and environment come from the environment variables when no argument names them."""
    put("observe")
    monkeypatch.setenv("PENSTOCK_FLAGS_DIRECTORY", str(directory))
    monkeypatch.setenv("PENSTOCK_ENVIRONMENT", "production")

    with penstock_flags.open() as flags:
        assert flags.mode("bounded-fanout") == "observe"
        assert flags.snapshot.environment == "production"


def test_instance_is_what_targets_go_by(directory: Path, production: Path, monkeypatch: pytest.MonkeyPatch):
    """`PENSTOCK_INSTANCE` names the instance that targets, rules and rollouts choose by."""
    target = {"contextKind": "instance", "variation": 2, "values": ["blue"]}
    document = json.loads(production.read_text())
    document["flags"]["bounded-fanout"] |= {"on": True, "contextTargets": [target]}
    production.write_text(json.dumps(document))
    monkeypatch.setenv("PENSTOCK_INSTANCE", "blue")

    with penstock_flags.open("production", directory) as blue:
        assert blue.mode("bounded-fanout") == "enforce"
    with penstock_flags.open("production", directory, instance="green") as green:
        assert green.mode("bounded-fanout") == "off"


async def test_file_is_read_at_once_inside_an_event_loop(directory: Path, put):
    """Inside an event loop the modes of a file are there when open returns."""
    put("enforce")
    with penstock_flags.open("production", directory) as flags:
        assert flags.mode("bounded-fanout") == "enforce"


def test_nearest_folder_above_is_found(directory: Path, monkeypatch: pytest.MonkeyPatch):
    """Without configuration the nearest `feature_flags/` counts, with the environment development."""
    inner = directory.parent / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)

    with penstock_flags.open() as flags:
        assert flags.snapshot.source == str(directory / "environments" / "development.json")


def test_nothing_configured_is_off_with_one_warning(log: Log):
    """A program started where no flags are runs as before, and says so once."""
    with penstock_flags.open() as flags:
        assert flags.mode("bounded-fanout") == "off"
        assert flags.snapshot.source == "defaults"

    (warning,) = [line for line in log.lines if line.startswith("WARNING")]
    assert "no folder from here upwards has feature_flags/flags.toml" in warning


def test_log_says_which_environment_was_opened(directory: Path, production: Path, log: Log):
    """Whoever wonders which flags a program follows finds it in the log."""
    penstock_flags.open("production", directory).close()

    assert f"INFO penstock.flags flags: opened <Flags of production from {production}: " in "\n".join(log.lines)


def test_removed_current_folder_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A program whose current folder has been removed runs as one where no flags are."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    with penstock_flags.open() as flags:
        assert flags.snapshot.source == "defaults"


def test_folder_without_flags_is_refused(tmp_path: Path):
    """A folder that is named must have flags; the error says how to write them."""
    with pytest.raises(penstock_flags.FlagsNotFoundError, match="penstock flags init --directory"):
        penstock_flags.open("production", tmp_path)


def test_unknown_environment_lists_the_allowed(directory: Path):
    """An environment without a file is refused, and the others are listed."""
    with pytest.raises(
        penstock_flags.UnknownEnvironmentError,
        match="unknown environment 'live'; allowed are: development, staging, canary, production",
    ):
        penstock_flags.open("live", directory)


def test_environment_is_a_name_and_no_path(directory: Path):
    """An environment's name cannot lead out of the folder."""
    with pytest.raises(penstock_flags.UnknownEnvironmentError):
        penstock_flags.open("../environments/production", directory)


def test_undeclared_capability_lists_the_declared(directory: Path):
    """Asking for a capability that no flag switches names those that one does."""
    expected = r"'bounded-fan' .* declared are: bounded-fanout"
    with penstock_flags.open("production", directory) as flags, pytest.raises(LookupError, match=expected):
        flags.mode("bounded-fan")


def test_import_leaves_launchdarkly_out():
    """Importing the package and its commands imports no SDK, no rich and no runtime package."""
    program = (
        "import sys, penstock_flags, penstock_flags.commands;"
        "print(sorted({'ldclient', 'rich', 'yaml', 'penstock_limits'} & sys.modules.keys()))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert output == "[]\n"


def test_repr_says_what_and_from_where(directory: Path, production: Path):
    """The repr is made for a log line."""
    modes = "bounded-fanout=off, pooled-database=off, managed-threads=off"
    with penstock_flags.open("production", directory) as flags:
        assert repr(flags) == f"<Flags of production from {production}: {modes}>"


def test_limits_follow_the_flags(directory: Path, put):
    """The flags are a mode source as the runtime expects one, subscription included."""
    import penstock_limits
    from penstock_limits._modes import mode_of

    from tests.flags.conftest import change_of

    with penstock_flags.open("production", directory) as flags:
        penstock_limits.set_mode_source(flags)
        try:
            assert mode_of("bounded-fanout") is penstock_limits.Mode.OFF
            change_of(flags, lambda: put("enforce"))
            assert mode_of("bounded-fanout") is penstock_limits.Mode.ENFORCE
        finally:
            penstock_limits.set_mode_source(None)
