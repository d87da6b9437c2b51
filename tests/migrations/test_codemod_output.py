"""What the codemod shows on a terminal."""

import io

from penstock_migrations._command_line.output import print_diff, print_left
from penstock_migrations._rewriting.codemod import Left
from penstock_migrations._rewriting.write import Edit
from rich.console import Console
from rich.text import Text

from tests.migrations.project import finding


def shown(print_, what):
    """Print on a terminal of 80 columns."""
    text = io.StringIO()
    screen = Console(file=text, force_terminal=True, no_color=False, width=80, color_system="standard", markup=False)
    print_(screen, what)
    return text.getvalue()


def test_the_diff_is_coloured(tmp_path):
    """Taken away in red, added in green, whatever the terminal's own colours."""
    diff = shown(print_diff, [Edit("a.py", tmp_path / "a.py", b"x = 'gr\xc3\xb6\xc3\x9fe'\n", b"x = 2\n", "")])

    assert "\x1b[91" in diff
    assert "\x1b[92" in diff
    assert "größe" in diff


def test_what_is_left_is_a_table_that_fits():
    """No line is wider than the terminal, and no reason is cut or taken for markup."""
    left = [Left("research.py", "who waits, " * 20, finding(line=12)), Left("the project", "[bold] stays")]

    table = shown(print_left, left)

    assert "research.py:12: PEN101" in table
    assert table.count("waits") == 20
    assert "[bold] stays" in table
    assert max(len(Text.from_ansi(line)) for line in table.splitlines()) <= 80
