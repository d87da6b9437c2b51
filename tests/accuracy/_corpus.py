"""Re-creates the labelled corpus: wheels from the package index, verified, their Python files unpacked."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_PYTHONS = ((), ("--python-version", "3.12"), ("--python-version", "3.13"))


class FetchError(Exception):
    """A package could not be fetched as it was pinned."""


@dataclass(frozen=True)
class Label:
    """One place that a reader judged."""

    package: str
    path: str
    line: int
    end_line: int
    issue: int
    label: str
    severity: str | None
    shape: str
    reason: str


def labels(name: str = "*") -> list[Label]:
    """Read the labels of one file, or of all."""
    texts = [file.read_text(encoding="utf-8") for file in sorted((HERE / "labels").glob(f"{name}.jsonl"))]
    return [_label(json.loads(line)) for text in texts for line in text.splitlines()]


def pins() -> dict[str, dict[str, str | None]]:
    """Read which wheel each package is, and its hash, where they were recorded."""
    found: dict[str, dict[str, str | None]] = {}
    for file in sorted((HERE / "pins").glob("*.json")):
        found |= json.loads(file.read_text(encoding="utf-8"))
    return found


def _label(data: dict[str, Any]) -> Label:
    keys = ("package", "path", "line", "end_line", "issue", "label", "severity", "reason")
    return Label(**{key: data[key] for key in keys}, shape=data["class"])


def fetch(packages: Iterable[str], cache: Path, progress: Callable[[], None]) -> dict[str, Path]:
    """Download, verify and unpack packages, several at once.

    Returns:
        The folder of each package's Python files.

    Raises:
        FetchError: One of them cannot be downloaded, or is not what was pinned.
    """
    known = pins()
    folders = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        running = {pool.submit(_fetched, package, known.get(package) or {}, cache): package for package in packages}
        try:
            for done in as_completed(running):
                folders[running[done]] = done.result()
                progress()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return folders


def _fetched(package: str, pin: dict[str, str | None], cache: Path) -> Path:
    if package == "written":  # modules written for what real packages hardly show
        return HERE / "written"
    folder = cache / "python" / package
    if not folder.exists():
        wheel = _wheel(package, cache / "wheels" / package)
        _verify(wheel, pin)
        _unpack(wheel, folder)
    return folder


def _wheel(package: str, folder: Path) -> Path:
    """Download a package's wheel, for the running Python or for a later one that the package asks for."""
    said = ""
    for python in _PYTHONS:
        if found := sorted(folder.glob("*.whl")):
            return found[0]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary", ":all:", *python, "--dest", str(folder), package]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        said = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"pip ended with {done.returncode}"
    if found := sorted(folder.glob("*.whl")):
        return found[0]
    raise FetchError(f"{package}: {said}")


def _verify(wheel: Path, pin: dict[str, str | None]) -> None:
    """Refuse a wheel that is not the labelled one; some were not recorded."""
    if pin.get("wheel") == wheel.name and hashlib.sha256(wheel.read_bytes()).hexdigest() != pin["sha256"]:
        wheel.unlink()
        raise FetchError(
            f"{wheel.name}: is not the file that was labelled (its hash differs); it was removed, try again"
        )


def _unpack(wheel: Path, folder: Path) -> None:
    """Unpack a wheel's Python files whole or not at all; another run may do the same at the same time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, suffix=".unfinished"))
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(".py"):
                    archive.extract(name, unfinished)
        unfinished.rename(folder)
    except zipfile.BadZipFile:
        wheel.unlink()
        raise FetchError(f"{wheel.name}: is no wheel; it was removed, try again") from None
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
