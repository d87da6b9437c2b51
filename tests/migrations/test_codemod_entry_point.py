"""Where a program starts, and the line that is put there."""

import pytest
from penstock_migrations._rewriting.entry_point import EntryPoint, add_mode_source, entry_point, sets_mode_source
from penstock_migrations._rewriting.source_text import RewriteError

from tests.migrations.project import make_project

BLOCK = 'if __name__ == "__main__":\n    run()\n'
LINE = "penstock_limits.set_mode_source(penstock_flags.open())"
IMPORTS = "import penstock_flags\nimport penstock_limits\n\n"


def found(root):
    place = entry_point(root, sorted(root.rglob("*.py")))
    return place.file.relative_to(root).as_posix(), place.function


def placed(source, function=None):
    return add_mode_source(source.encode(), function, frozenset()).decode()


def test_a_scripts_function_goes_first(tmp_path):
    """What the project declares goes before what is guessed."""
    make_project(tmp_path, {"agents/__main__.py": BLOCK})

    assert found(tmp_path) == ("agents/main.py", "main")


def test_a_src_layout_is_understood(tmp_path):
    """The script's module may lie beneath src."""
    make_project(tmp_path / "src")
    (tmp_path / "src/pyproject.toml").rename(tmp_path / "pyproject.toml")

    assert found(tmp_path) == ("src/agents/main.py", "main")


@pytest.mark.parametrize("name", ["agents/__main__.py", "agents/run.py"])
def test_without_scripts_the_one_start_counts(tmp_path, name):
    """`__main__.py`, else the one file that runs when it is called."""
    make_project(tmp_path, {name: BLOCK, "tests/run_tests.py": BLOCK})
    (tmp_path / "pyproject.toml").unlink()

    assert found(tmp_path) == (name, None)


def test_an_unpacked_wheel_names_its_scripts(tmp_path):
    """A wheel has no pyproject.toml, and says the same in its metadata."""
    make_project(tmp_path)
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "agents-1.dist-info").mkdir()
    (tmp_path / "agents-1.dist-info/entry_points.txt").write_text("[console_scripts]\nagents = agents.main:main\n")

    assert found(tmp_path) == ("agents/main.py", "main")


def test_several_starts_are_named_and_none_is_taken(tmp_path):
    """Which of them is the application only its people know."""
    make_project(tmp_path, {"agents/a.py": BLOCK, "agents/b.py": BLOCK})
    (tmp_path / "pyproject.toml").unlink()

    with pytest.raises(RewriteError, match=r"2 entry points were found: agents/a.py, agents/b.py"):
        found(tmp_path)


def test_a_library_has_no_start(tmp_path):
    """Then there is nothing to write, and the caller says what to do."""
    make_project(tmp_path)
    (tmp_path / "pyproject.toml").unlink()

    with pytest.raises(RewriteError, match="no entry point"):
        found(tmp_path)


@pytest.mark.parametrize(
    ("before", "function", "after"),
    [
        ("def main():\n    run()\n", "main", f"{IMPORTS}def main():\n    {LINE}\n    run()\n"),
        (
            'async def main():\n    """Run."""\n    run()\n',
            "main",
            f'{IMPORTS}async def main():\n    """Run."""\n    {LINE}\n    run()\n',
        ),
        (BLOCK, None, f'{IMPORTS}if __name__ == "__main__":\n    {LINE}\n    run()\n'),
        (
            "import zz\n\nzz.run()\n",
            None,
            f"{IMPORTS.rstrip()}\nimport zz\n\n{LINE}\n\nzz.run()\n",
        ),
    ],
)
def test_the_line_is_the_first_thing_that_the_program_does(before, function, after):
    """After a docstring; at module level after the imports."""
    assert placed(before, function) == after


@pytest.mark.parametrize(
    ("source", "function", "reason"),
    [
        ("app = make()\n", "app", "no function"),
        ("def main(): run()\n", "main", "on one line"),
        ("penstock_flags = 1\ndef main():\n    run()\n", "main", "means something else"),
    ],
)
def test_where_it_cannot_be_placed_the_reason_is_given(source, function, reason):
    """Nothing is written where it might be wrong."""
    with pytest.raises(RewriteError, match=reason):
        placed(source, function)


def test_a_mode_source_that_is_set_is_found(tmp_path):
    """A second run, or a line written by hand, is seen wherever it stands."""
    make_project(tmp_path, {"agents/boot.py": "from penstock_limits import set_mode_source\nset_mode_source(x)\n"})

    assert sets_mode_source(tmp_path, sorted(tmp_path.rglob("*.py"))) == tmp_path / "agents/boot.py"
    assert entry_point(tmp_path, []) == EntryPoint(tmp_path / "agents/main.py", "main")
