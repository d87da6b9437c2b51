"""The drop-ins over processes: their end, forks, and drivers that are not there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.pooling.drop_ins.drivers import Driver

NAMES = ["psycopg", "psycopg2", "sqlalchemy"]


def run(program: str, *arguments: str, mode: str = "enforce", options: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run a program in a process of its own; return its status, and what it has said."""
    ended = subprocess.run(
        [sys.executable, *options, "-c", program, *arguments],
        env=os.environ | {"PENSTOCK_MODE": mode},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_module_imports_its_driver_when_it_is_used(name: str) -> None:
    """Not before."""
    program = f"import sys, penstock_pooling.{name}; print({name!r} in sys.modules)"

    assert run(program) == (0, "False\n", "")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", [pytest.param("off", marks=pytest.mark.slow), "enforce"])
def test_a_driver_that_is_not_installed_is_named_with_its_extra(name: str, mode: str) -> None:
    """In every mode."""
    call = "create_engine" if name == "sqlalchemy" else "connect"
    program = f"""
import sys
sys.modules[{name!r}] = None
import penstock_pooling.{name}
try:
    penstock_pooling.{name}.{call}("postgresql://")
except ImportError as error:
    print(error, error.name)
"""
    status, told, complaints = run(program, mode=mode)

    assert (status, complaints) == (0, "")
    assert f"pip install 'penstock-pooling[{name}]' {name}" in told


@pytest.mark.parametrize(
    "way", ["lent", *(pytest.param(way, marks=pytest.mark.slow) for way in ("idle", "lent in a thread"))]
)
def test_a_program_ends_as_ever(way: str, driver: Driver, dsn: str) -> None:
    """Whatever it has left open: it neither hangs nor says more than with the driver's own call."""
    program = f"""
import sys, threading
import penstock_pooling.{driver.name} as pooling
kept = []
def use():
    connection = pooling.connect(sys.argv[1])
    connection.cursor().execute("SELECT 1")
    if {way!r} == "idle":
        connection.close()
    else:
        kept.append(connection)
if {way!r} == "lent in a thread":
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
else:
    use()
"""
    for options in ((), ("-W", "error", "-X", "dev")):
        status, said, complaint = run(program, dsn, mode="enforce", options=options)
        expected = run(program, dsn, mode="off", options=options)

        assert (status, said, complaint.count("\\n")) == (*expected[:2], expected[2].count("\\n"))


FORK = """
import os, sys
import penstock_pooling.{name} as pooling

def pid(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

def once():
    connection = pooling.connect(sys.argv[1])
    found = pid(connection)
    connection.close()
    return found

first = once()
lent = pooling.connect(sys.argv[1] + "?connect_timeout=9")
second = pid(lent)
child = os.fork()
if child == 0:
    mine = once()
    again = once()
    del lent
    os._exit(0 if mine != first and again == mine else 1)
status = os.waitpid(child, 0)[1]
print(status, once() == first, pid(lent) == second)
lent.close()
"""


def test_a_forked_process_has_sessions_of_its_own(driver: Driver, dsn: str) -> None:
    """And leaves those of its parent alone, lent or not."""
    assert run(FORK.format(name=driver.name), dsn) == (0, "0 True True\n", "")


FORK_ENGINE = """
import os, sys
import penstock_pooling.sqlalchemy
from sqlalchemy import text

def once():
    with penstock_pooling.sqlalchemy.create_engine(sys.argv[1]).connect() as connection:
        return connection.scalar(text("SELECT pg_backend_pid()"))

first = once()
child = os.fork()
if child == 0:
    mine = once()
    again = once()
    os._exit(0 if mine != first and again == mine else 1)
status = os.waitpid(child, 0)[1]
print(status, once() == first)
"""


def test_a_forked_process_has_engines_of_its_own(driver: Driver, dsn: str) -> None:
    """And leaves the connections of its parent alone."""
    url = dsn.replace("postgresql:", f"postgresql+{driver.name}:")

    assert run(FORK_ENGINE, url) == (0, "0 True\n", "")
