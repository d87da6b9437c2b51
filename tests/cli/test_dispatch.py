"""The command finds what packages offer, runs it, and says what is wrong in one line."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import penstock_cli._commands
import pytest
from click.testing import CliRunner
from penstock_cli._main import penstock as group
from penstock_cli._main import run

from tests.cli.conftest import Penstock

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("status", [0, 1, 2, 3])
@pytest.mark.parametrize("way", ["leave", "quit"])
def test_exit_status_is_the_commands_own(penstock: Penstock, way: str, status: int):
    """A command's exit status passes through, whichever way it leaves."""
    process = penstock(way, str(status))

    assert process.communicate() == ("", "")
    assert process.returncode == status


def test_ctrl_c_exits_130_without_traceback(penstock: Penstock):
    """Ctrl-C in a running command ends it with status 130, and nobody sees a traceback."""
    process = penstock("wait")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()

    assert process.returncode == 130
    assert "Traceback" not in errors


def test_refused_question_exits_1(penstock: Penstock):
    """A question nobody answers aborts with status 1."""
    process = penstock("ask")
    _, errors = process.communicate()

    assert process.returncode == 1
    assert "Aborted!" in errors


def test_help_lists_commands_of_every_distribution(penstock: Penstock):
    """Help names each installed command with its first line, and a broken one does not hide the others."""
    process = penstock("--help")
    text, errors = process.communicate()

    assert (process.returncode, errors) == (0, "")
    assert "leave     Leave with a status." in text
    assert "broken    (cannot be loaded: ModuleNotFoundError:" in text
    assert "odd (cannot be loaded: site_commands:not_a_command is no click command)" in " ".join(text.split())
    assert "flags " in text


@pytest.mark.parametrize("name", ["broken", "odd"])
def test_command_that_cannot_be_loaded_is_one_clear_line(penstock: Penstock, name: str):
    """A command that cannot be loaded says why and what to reinstall, with status 2."""
    process = penstock(name)
    _, errors = process.communicate()

    assert process.returncode == 2
    assert errors.startswith(f"Error: the command '{name}' cannot be loaded: ")
    assert errors.endswith("; reinstall site-commands\n")
    assert errors.count("\n") == 1


def test_missing_well_known_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """A known command whose package is not installed names the package."""
    monkeypatch.setattr(penstock_cli._commands, "entry_points", lambda group: ())
    result = CliRunner().invoke(group, ["audit", "."])

    assert result.exit_code == 2
    assert "'audit' is not installed; install it with: pip install penstock-migrations" in result.output


def test_help_names_packages_that_offer_more(monkeypatch: pytest.MonkeyPatch):
    """Help says which packages would add commands."""
    monkeypatch.setattr(penstock_cli._commands, "entry_points", lambda group: ())
    result = CliRunner().invoke(group, ["--help"])

    assert result.exit_code == 0
    assert "pip install penstock-flags penstock-migrations" in result.output


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    """A command nobody knows is a usage error."""
    assert run(["adit"]) == 2
    assert "No such command 'adit'" in capsys.readouterr().err


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]):
    """`--version` prints the version of the installed distribution."""
    project = tomllib.loads((ROOT / "packages/cli/pyproject.toml").read_text())["project"]

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"penstock, version {project['version']}\n"


def test_help_imports_nothing_heavy():
    """Asking for help imports neither libcst nor the LaunchDarkly SDK nor rich."""
    program = (
        "import atexit, sys, penstock_cli; sys.argv = ['penstock', '--help'];"
        "atexit.register(lambda: print(sorted({'libcst', 'ldclient', 'rich', 'tomlkit'} & sys.modules.keys())));"
        "penstock_cli.main()"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert "Commands:" in output
    assert output.splitlines()[-1] == "[]"


def test_well_known_commands_are_the_ones_that_packages_offer():
    """What the dispatcher says to install is what the packages' own metadata offers."""
    offered = {}
    for path in [*ROOT.glob("packages/*/pyproject.toml"), *ROOT.glob("*/pyproject.toml")]:
        project = tomllib.loads(path.read_text())["project"]
        for name in project.get("entry-points", {}).get(penstock_cli._commands.GROUP, {}):
            offered[name] = project["name"]

    assert dict(penstock_cli._commands.WELL_KNOWN) == offered
