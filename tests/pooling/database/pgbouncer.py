"""A pgbouncer of a test's own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.pooling.waiting import until


class PgBouncer:
    """Pools transactions in front of a server, two sessions for everybody, for the length of a `with` block.

    Args:
        dsn: The server.
    """

    def __init__(self, dsn: str) -> None:
        self._server = urlsplit(dsn)

    def __enter__(self) -> Self:
        server = self._server
        self._folder = Path(tempfile.mkdtemp())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        (self._folder / "users").write_text(f'"{server.username}" "{server.password}"\n')
        (self._folder / "ini").write_text(
            f"[databases]\npostgres = host={server.hostname} port={server.port} dbname=postgres "
            f"user={server.username} password={server.password}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self._port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {self._folder / 'users'}\npool_mode = transaction\n"
            f"default_pool_size = 2\nmax_client_conn = 200\nignore_startup_parameters = extra_float_digits\n"
        )
        how: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            user = pwd.getpwnam("nobody")
            how = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            for each in (self._folder, *self._folder.iterdir()):
                os.chown(each, user.pw_uid, user.pw_gid)
        command = [shutil.which("pgbouncer"), self._folder / "ini"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)
        until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)

    @property
    def dsn(self) -> str:
        return f"postgresql://{self._server.username}:{self._server.password}@127.0.0.1:{self._port}/postgres"

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
