"""What a codemod shows: the diff, then what it left and why."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from penstock_migrations._rewriting.codemod import Left
from penstock_migrations._rewriting.source_text import SourceText
from penstock_migrations._rewriting.write import Edit

__all__ = ["console", "print_diff", "print_left", "print_lines", "unified"]


def console(*, stderr: bool = False) -> Console:
    """Return a console that gives plain, unwrapped text when it is piped."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)


def unified(edits: Iterable[Edit]) -> bytes:
    """Return the edits as a diff that `patch -p1` applies, in each file's own bytes."""
    return b"".join(map(_unified, edits))


def print_diff(to: Console, edits: Sequence[Edit]) -> None:
    """Print the edits, coloured on a terminal; piped, to the byte."""
    binary = getattr(to.file, "buffer", None)
    if not to.is_terminal and binary is not None:
        to.file.flush()
        binary.write(unified(edits))
        binary.flush()
        return
    for edit in edits:
        diff = _unified(edit).decode(SourceText.decode(edit.after).encoding, errors="replace").rstrip("\n")
        to.print(Syntax(diff, "diff", theme="ansi_dark", background_color="default") if to.is_terminal else Text(diff))


def print_left(to: Console, left: Sequence[Left]) -> None:
    """Print what was left and why: a table on a terminal, else one line each."""
    if not left:
        return
    if not to.is_terminal:
        print_lines(to, (f"left {_where(each)}: {each.reason}" for each in left))
        return
    table = Table("Left to you", "Why", box=box.SIMPLE_HEAD, pad_edge=False)
    for each in left:
        table.add_row(Text(_where(each), style="bold", overflow="fold"), Text(each.reason))
    to.print(table, soft_wrap=False)


def _where(left: Left) -> str:
    if left.finding is None:
        return left.path
    return f"{left.path}:{left.finding.line}: {left.finding.code}"


def print_lines(to: Console, lines: Iterable[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        to.print(Text(line))


def _unified(edit: Edit) -> bytes:
    """Diff by bytes: line ends and encodings come out as they are in the file."""
    before, after = _lines(edit.before or b""), _lines(edit.after)
    name = edit.path.encode()
    lines = difflib.diff_bytes(difflib.unified_diff, before, after, b"a/" + name, b"b/" + name)
    return b"".join(line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n" for line in lines)


def _lines(content: bytes) -> list[bytes]:
    """Split after newlines only: `splitlines` would also split at a lone carriage return."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
