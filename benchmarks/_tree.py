"""A folder of real Python files to audit."""

from __future__ import annotations

import contextlib
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.accuracy.__main__ import DEFAULT_CACHE
from tests.accuracy._corpus import fetch, labels

FEW = 500


@contextlib.contextmanager
def tree(size: int) -> Iterator[Path]:
    """Copy so many files into a folder of their own.

    A few are taken from the standard library; many from the labelled packages, which are downloaded once.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "tree")
        for base, file in _files(size):
            copy = target / file.relative_to(base)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        yield target


def _files(size: int) -> list[tuple[Path, Path]]:
    if size <= FEW:
        bases = [Path(sysconfig.get_path("stdlib"), "asyncio")]
    else:
        packages = sorted({label.package for label in labels()})
        bases = sorted(set(fetch(packages, DEFAULT_CACHE, lambda: None).values()))
    return [(base.parent, file) for base in bases for file in sorted(base.rglob("*.py"))][:size]
