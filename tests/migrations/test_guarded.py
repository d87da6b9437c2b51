"""What the guard reports of a command that runs pytest once, several times, or never."""

import shlex
import sys

import pytest
from penstock_migrations._proving.guarded import SeenResource
from penstock_migrations._proving.user_tests import run_tests

CLEAN = "def test_clean():\n    pass\n"
LIMITED = """
import asyncio, penstock_limits
async def read_all():
    return await penstock_limits.gather(asyncio.sleep(0), limit="api_call")
def test_limited():
    asyncio.run(read_all())
KEPT = []
def test_other():
    KEPT.append(penstock_limits.Limiter("reports", max_running=1))
    assert {passes}
"""
LEAK = "import threading\ndef test_leak():\n    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
NESTED = """
import os, subprocess, sys
def test_nested(tmp_path):
    (tmp_path / "test_inner.py").write_text({source!r})
    assert not [name for name in os.environ if name.startswith("PENSTOCK_GUARD")]
    subprocess.run([sys.executable, "-m", "pytest", str(tmp_path)], check=True)
"""


def pytest_on(*names):
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--disable-plugin-autoload"]
    return [*words, "-p", "penstock_guard.plugin", *names]


@pytest.fixture
def seen(tmp_path):
    (tmp_path / "test_clean.py").write_text(CLEAN)
    (tmp_path / "test_leak.py").write_text(LEAK)
    (tmp_path / "test_nested.py").write_text(NESTED.format(source=LEAK))

    def seen(command):
        return run_tests(shlex.join(command), tmp_path, "guarded", changed={}, timeout=60)

    return seen


def in_turn(*commands):
    return ["sh", "-c", " && ".join(shlex.join(each) for each in commands)]


def test_all_runs_of_a_command_count(seen):
    """The last does not hide what the first has seen."""
    run = seen(in_turn(pytest_on("test_leak.py"), pytest_on("test_clean.py")))

    assert run.passed, run.output
    assert run.guard.tests == 2
    assert [each.check for each in run.guard.accusations] == ["thread"]
    assert run.guard.failures == ()


def test_what_tests_run_of_pytest_themselves_does_not_count(seen):
    """It is their data: projects that test plugins of pytest leak on purpose."""
    run = seen(pytest_on("test_nested.py"))

    assert run.passed, run.output
    assert run.guard.tests == 1
    assert run.guard.accusations == ()


@pytest.mark.parametrize("passes", [True, False])
def test_what_a_monitor_would_show_is_told(seen, tmp_path, passes):
    """Package, kind and name of what is there when a test has passed; one that fails is not looked at."""
    (tmp_path / "test_limited.py").write_text(LIMITED.format(passes=passes))

    run = seen(pytest_on("test_clean.py", "test_limited.py"))

    assert run.passed is passes, run.output
    api_call, reports = (SeenResource("penstock_limits", "limiter", name) for name in ("api_call", "reports"))
    assert run.guard.resources == ((api_call, reports) if passes else (api_call,))


def test_without_pytest_there_is_no_report(seen):
    """Nobody has looked."""
    assert seen([sys.executable, "-c", ""]).guard is None
