"""The server that tests and the demo run on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from penstock_pooling import _postgres_keeper as keeper
from penstock_pooling import _postgres_programs, testing
from penstock_pooling.testing import PostgresServer

from tests.pooling.waiting import until


async def ask(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the servers of a test have their folders, and nobody else's; pytest's own folders are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(testing, "_temporary_folder", lambda: Path(folder))
        yield Path(folder)


def test_a_server_takes_connections_with_its_settings(postgres: PostgresServer) -> None:
    """By TCP on loopback, with the password that is in its dsn only."""
    assert asyncio.run(ask(postgres.dsn, "SHOW max_connections")) == "200"
    assert "127.0.0.1" in postgres.dsn
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(ask(postgres.dsn.replace("postgres:", "postgres:wrong", 1), "SELECT 1"))


def test_a_server_does_not_show_its_password(postgres: PostgresServer) -> None:
    """Its repr ends up in the reports of failed tests."""
    password = postgres.dsn.partition("postgres:")[2].partition("@")[0]

    assert len(password) > 12
    assert password not in repr(postgres)


def test_what_was_committed_survives_a_kill() -> None:
    """The processes are gone at once, the port and the data stay."""
    with PostgresServer(settings={"autovacuum": "off"}) as server:
        asyncio.run(ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer"))
        before = server.dsn
        server.kill()

        assert (server.running, server.pid) == (False, None)
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(ask(server.dsn, "SELECT 1"))

        server.start()

        assert server.dsn == before
        assert asyncio.run(ask(server.dsn, "SELECT answer FROM kept")) == 42


def test_a_restart_ends_the_sessions_and_keeps_the_data() -> None:
    """As an operator's restart does."""

    async def restarted(server: PostgresServer) -> object:
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await asyncio.to_thread(server.restart)
        assert connection.is_closed()
        return await ask(server.dsn, "SELECT answer FROM kept")

    with PostgresServer() as server:
        assert asyncio.run(restarted(server)) == 42


def test_a_stopped_server_leaves_nothing_behind(place: Path) -> None:
    """No process, no folder; stopping it again does nothing."""
    with PostgresServer() as server:
        pid = server.pid
        assert len(list(place.iterdir())) == 1
    server.stop()

    assert list(place.iterdir()) == []
    assert pid is not None
    assert not keeper.alive(pid)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_a_test_that_is_killed_leaves_nothing_behind(end: signal.Signals) -> None:
    """A process of the server's own ends it and deletes its folder."""
    program = (
        "import time; from penstock_pooling.testing import PostgresServer\n"
        "with PostgresServer() as server: print(server.pid, server._folder, flush=True); time.sleep(600)"
    )
    test = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with test:
        assert test.stdout is not None
        pid, folder = test.stdout.readline().decode().split()
        test.send_signal(end)

    until(lambda: not Path(folder).exists())
    assert not keeper.alive(int(pid))


def test_a_server_that_cannot_start_says_why_and_leaves_nothing_behind(place: Path) -> None:
    """Its own words, from its log."""
    with pytest.raises(RuntimeError, match="no_such_setting"):
        PostgresServer(settings={"no_such_setting": 1}).start()

    assert list(place.iterdir()) == []


def test_a_port_that_somebody_else_took_is_not_insisted_on(monkeypatch: pytest.MonkeyPatch, postgres) -> None:
    """Between the choice of a port and the start of the server, anybody may take it."""
    ports = iter([postgres.port])
    free = testing._free_port
    monkeypatch.setattr(testing, "_free_port", lambda: next(ports, None) or free())

    with PostgresServer() as server:
        assert server.port != postgres.port
        assert asyncio.run(ask(server.dsn, "SELECT 1")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up rights")
def test_programs_that_nobody_can_reach_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment below /root."""
    monkeypatch.setattr(_postgres_programs, "readable_by_all", lambda path: False)
    with PostgresServer() as server:
        assert server._programs.is_relative_to(server._folder)
        assert asyncio.run(ask(server.dsn, "SELECT 1")) == 1


def test_without_the_wheel_an_installed_server_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what distributions ship; skipped where none is."""
    monkeypatch.setattr(_postgres_programs, "_wheel", lambda: None)
    if not _postgres_programs._installed():
        pytest.skip("no PostgreSQL is installed")

    with PostgresServer() as server:
        assert "site-packages" not in str(server._programs)
        assert asyncio.run(ask(server.dsn, "SELECT 1")) == 1


def test_without_any_server_the_error_says_what_to_install(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left behind."""
    monkeypatch.setattr(_postgres_programs, "_wheel", lambda: None)
    monkeypatch.setattr(_postgres_programs, "_installed", list)
    with pytest.raises(RuntimeError, match=r"penstock-pooling\[testing\]"):
        PostgresServer().start()

    assert list(place.iterdir()) == []


def test_the_keeper_kills_a_server_that_does_not_shut_down(tmp_path: Path) -> None:
    """It has some patience, and an end."""
    deaf = f"import signal, time; signal.signal(signal.SIGQUIT, signal.SIG_IGN); print({str(tmp_path)!r}, flush=True)"
    command = [sys.executable, "-c", f"{deaf}; time.sleep(600)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        (tmp_path / "postmaster.pid").write_text(f"{server.pid}\n")
        keeper.end(tmp_path, patience=0.0)

    assert server.returncode == -signal.SIGKILL


def test_the_keeper_leaves_alone_who_only_has_the_number_of_a_dead_server(tmp_path: Path) -> None:
    """Numbers of processes are used again."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / "postmaster.pid").write_text(f"{other.pid}\n")
        keeper.end(tmp_path, patience=0.0)

        assert other.poll() is None
        other.communicate(b"\n")

    assert other.returncode == 0
