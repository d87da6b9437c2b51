"""Verify: what came back, what is new, what is broken, and whether the tests pass."""

import subprocess
import sys
import time

import psutil
import pytest
from click.testing import CliRunner
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._proving.user_tests import TestCommandError, parse_command, run_tests
from penstock_migrations._proving.verify import Snapshot, Verification, verify
from penstock_migrations.commands import codemod
from penstock_migrations.commands import verify as command

from tests.migrations.project import FAN_OUT, finding, make_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project, and the working directory in it."""
    monkeypatch.chdir(make_project(tmp_path / "project"))
    return tmp_path / "project"


def defect(function="read_all"):
    return finding(function=function)


def problems(project, before, mended):
    """Verify the project, in which `read_all` has its defect, against a codemod's snapshot."""
    file = project / "agents/research.py"
    snapshot = Snapshot.of(before, mended, [file], {"agents/research.py": file}, project)
    return verify(project, Settings(), snapshot).problems


def test_a_mended_defect_that_is_found_again_is_a_problem(project):
    """Somebody's edit, or a rewrite that mends nothing."""
    assert problems(project, [defect()], [defect()]) == ("agents/research.py:12: PEN101 was mended and is found again",)


def test_a_defect_that_was_not_there_is_a_problem(project):
    """A rewrite must not make one."""
    assert problems(project, [], []) == ("agents/research.py:12: PEN101 is new",)


def test_a_defect_that_was_left_is_none(project):
    """It is the gate's matter; also when lines have moved and its neighbour was mended."""
    assert problems(project, [defect(), defect("other")], [defect("other")]) == ()


def test_what_the_codemod_did_not_look_for_is_not_new(project):
    """A file's other defects were there before, though a codemod of one issue did not list them."""
    file = project / "agents/research.py"
    snapshot = Snapshot.of([], [], [file], {"agents/research.py": file}, project, ("2", "PEN301"))

    assert verify(project, Settings(), snapshot).problems == ()


def test_a_rewritten_file_that_is_gone_is_broken(project):
    """Also when the report is of another checkout."""
    snapshot = Snapshot((), (), ("agents/research.py",), str(project / "elsewhere"))

    assert verify(project, Settings(), snapshot).broken == (
        f"agents/research.py: was rewritten and is gone from {project / 'elsewhere'}",
    )


def test_a_file_that_does_not_compile_is_broken_and_runs_no_tests(project):
    """Parsing is not enough: `return` at module level parses."""
    (project / "agents/research.py").write_text("return 1\n")

    seen = verify(project, Settings(), Snapshot((), (), ("agents/research.py",)), run=lambda *_: pytest.fail("ran"))

    assert seen.broken == ("agents/research.py: line 1: does not compile: 'return' outside function",)
    assert not seen.passed


def run(project, code, mode="off", timeout=60, changed=()):
    """Run a program in the place of tests."""
    (project / "program.py").write_text(code)
    files = {name: project / name for name in changed}
    return run_tests(f"{sys.executable} program.py", project, mode, changed=files, timeout=timeout)


def test_the_tests_are_told_the_mode_whatever_the_environment_says(project, monkeypatch):
    """A capability's own variable would go before PENSTOCK_MODE."""
    monkeypatch.setenv("PENSTOCK_MODE_BOUNDED_FANOUT", "off")

    code = "import os; print({k: v for k, v in os.environ.items() if k.startswith('PENSTOCK_MODE')})"
    assert run(project, code, mode="enforce").output == "{'PENSTOCK_MODE': 'enforce'}"


def test_the_rewritten_files_that_the_tests_load_are_seen(project):
    """Tests that pass without loading the code prove nothing about it."""
    seen = run(project, "import agents.research", changed=["agents/research.py", "agents/main.py"])

    assert seen.loaded == ("agents/research.py",)


def test_the_code_in_the_folder_is_tested_not_an_installed_copy(project, tmp_path, monkeypatch):
    """The project's root goes first on the import path, before what the user has there."""
    other = make_project(tmp_path / "installed")
    monkeypatch.setenv("PYTHONPATH", str(other))

    assert run(project, "import agents; print(agents.__file__)").output == str(project / "agents/__init__.py")


def test_output_that_is_no_text_is_kept_as_far_as_it_is(project):
    """And only its end, for a report that people read."""
    seen = run(project, "import sys; sys.stdout.buffer.write(b'\\xff' + b'line\\n' * 100); sys.exit(3)")

    assert (seen.status, seen.passed) == (3, False)
    assert seen.output.splitlines() == ["line"] * 40
    assert seen.ending == "the tests end with status 3: line"


GRANDCHILD = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pid.new", "w").write(str(child.pid))
os.rename("pid.new", "pid")
time.sleep(600)
"""


def interrupt_once_started(project, monkeypatch, interruption):
    """Let the first wait for the program end, once it has started its grandchild, with an exception."""
    wait, calls = subprocess.Popen.wait, []

    def waited(process, timeout=None):
        calls.append(timeout)
        while len(calls) == 1:
            assert process.poll() is None
            if (project / "pid").exists():
                raise interruption
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", waited)


def test_tests_that_take_too_long_are_stopped_with_all_they_started(project, monkeypatch):
    """A grandchild that holds the output open does not hold verify up, and does not live on."""
    interrupt_once_started(project, monkeypatch, subprocess.TimeoutExpired("", 0))

    seen = run(project, GRANDCHILD)

    assert seen.status is None
    assert "allow more with --timeout" in seen.ending
    assert dies(int((project / "pid").read_text()))


def test_ctrl_c_stops_the_tests(project, monkeypatch):
    """Nothing runs on when people have given up."""
    interrupt_once_started(project, monkeypatch, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        run(project, GRANDCHILD)

    assert dies(int((project / "pid").read_text()))


def dies(pid):
    """Wait for a process that was sent a signal; one that its new parent has not waited for is as good as gone."""
    deadline = time.monotonic() + 30
    try:
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                return False
    except psutil.NoSuchProcess:
        pass
    return True


@pytest.mark.parametrize(("text", "reason"), [("", "is empty"), ("pytest 'x", "No closing quotation")])
def test_a_command_that_no_shell_could_split_is_refused(text, reason):
    """Before anything is copied or run."""
    with pytest.raises(TestCommandError, match=reason):
        parse_command(text)


def test_a_command_that_is_not_there_is_named(project):
    """No traceback."""
    with pytest.raises(TestCommandError, match="'no-such-program' cannot be started: No such file"):
        run_tests("no-such-program -q", project, "off", changed={}, timeout=1)


def test_reports_come_back_as_they_were_written(project):
    """What one command leaves, the next reads."""
    seen = Verification("t", 1, ("a",), ("p",), tests=(run(project, "print(1)"),), fails_anyway=True)
    snapshot = Snapshot((("a", "PEN101", "f"),), (), ("a",), "/b", ("1",))

    assert Verification.from_json(seen.to_json()) == seen
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"before": [1], "mended": [], "changed": []}', "1"])
def test_what_is_no_report_is_refused(text):
    """Damaged or of another program."""
    with pytest.raises(ValueError):
        Snapshot.from_json(text)
    with pytest.raises(ValueError):
        Verification.from_json(text)


def call(callee, *arguments):
    return CliRunner().invoke(callee, [*arguments, "--reports", "../reports"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 3, "Inconclusive: your tests were not run"),
        (["--test-command", "python -m pytest -q -p no:cacheprovider tests"], 0, "mode enforce: the tests pass"),
        (["--test-command", "python -c 'exit(7)'"], 1, "mode off: the tests end with status 7"),
        (["--test-command", "no-such-program"], 2, "cannot be started"),
        (["--timeout", "0"], 2, "--timeout"),
    ],
)
def test_the_command_ends_with_the_status_of_what_it_saw(project, arguments, status, says):
    """0 pass, 1 fail, 2 usage, 3 inconclusive."""
    call(codemod, ".", "--write")

    result = call(command, ".", *arguments)

    assert result.exit_code == status
    assert says in result.output


def test_a_clean_project_can_be_verified_without_a_codemod(project):
    """Nothing was rewritten, so only the tests speak."""
    (project / "agents/research.py").write_text(FAN_OUT.replace("asyncio.gather", "limited"))

    result = call(command, ".", "--test-command", "python -c pass")

    assert result.exit_code == 0
    assert "0 rewritten files" in result.stdout


@pytest.mark.parametrize(("rewrote_in", "path"), [(".", "."), ("..", "project"), ("/", None), ("agents", "..")])
def test_what_was_rewritten_is_found_from_wherever_it_is_called(project, tmp_path, monkeypatch, rewrote_in, path):
    """The codemod in one working directory, verify in another."""
    reports = ["--reports", str(tmp_path / "reports")]
    monkeypatch.chdir(rewrote_in)
    CliRunner().invoke(codemod, [path or str(project), "--write", *reports], catch_exceptions=False)
    monkeypatch.chdir(project / "tests")

    result = CliRunner().invoke(command, [str(project / "agents"), *reports], catch_exceptions=False)

    assert result.exit_code == 3
    assert "2 rewritten files, 1 finding mended" in result.stdout
