"""Reads Python files: bytes in, text and tree out, or one line that says why not."""

from __future__ import annotations

import ast
import hashlib
import io
import re
import stat
import sys
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Source", "UnreadableError", "digest", "parse", "read", "suppressions"]

_PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
_MAX_BYTES = 20_000_000
_CODES = r"PEN\d{3}(?:\s*,\s*PEN\d{3})*"
_PRAGMA = re.compile(rf"#\s*penstock:\s*ignore(?:\[\s*(?P<codes>{_CODES})\s*\]|\s*(?=#|$))", re.IGNORECASE)


class UnreadableError(Exception):
    """A file cannot be audited; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was when it was read.

    Attributes:
        data: Its bytes.
        sha256: Their hash.
    """

    data: bytes
    sha256: str


def digest(content: bytes) -> str:
    """Return the hash by which stages tell that a file has changed."""
    return hashlib.sha256(content).hexdigest()


def read(file: Path) -> Source:
    """Read a file.

    Raises:
        UnreadableError: It is missing, no regular file, too big, or may not be read.
    """
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableError("no regular file")
        if found.st_size > _MAX_BYTES:
            raise UnreadableError(f"larger than {_MAX_BYTES // 1_000_000} MB, no source that people write")
        data = file.read_bytes()
    except FileNotFoundError:
        raise UnreadableError("gone since it was listed") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
    return Source(data, digest(data))


def parse(source: Source) -> tuple[str, ast.Module]:
    """Decode and parse a file.

    Returns:
        Its text, without a byte order mark and with its line ends as they are, and its tree.

    Raises:
        UnreadableError: It does not decode or parse.
    """
    text = _decode(source.data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes concern the file's author, not the audit
            return text, ast.parse(text)
    except SyntaxError as error:
        place = f" (line {error.lineno})" if error.lineno else ""
        raise UnreadableError(f"does not parse with {_PYTHON}: {error.msg}{place}") from None
    except (RecursionError, MemoryError):
        raise UnreadableError(f"does not parse with {_PYTHON}: nested too deeply") from None
    except ValueError as error:  # NUL bytes, before Python 3.12
        raise UnreadableError(f"does not parse with {_PYTHON}: {error}") from None


def _decode(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"does not decode as {error.encoding}: {error.reason} at byte {error.start}") from None
    except (SyntaxError, LookupError) as error:
        declared = "unknown encoding" in str(error)
        reason = str(error) if declared else "not UTF-8, and no other encoding is declared"
        raise UnreadableError(f"does not decode: {reason}") from None


def suppressions(text: str) -> dict[int, frozenset[str]]:
    """Find the comments `# penstock: ignore[PEN101] reason` and `# penstock: ignore`; what only looks like one is none.

    Returns:
        The codes ignored on each line, from 1; an empty set ignores them all.
    """
    if "penstock:" not in text:
        return {}
    found: dict[int, frozenset[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
        if token.type == tokenize.COMMENT and (pragma := _PRAGMA.search(token.string)):
            codes = pragma["codes"] or ""
            found[token.start[0]] = frozenset(code.strip().upper() for code in codes.split(",") if code.strip())
    return found
