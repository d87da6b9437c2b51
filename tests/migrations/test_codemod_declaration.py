"""What the project needs is declared where it declares its dependencies, and nothing else changes."""

import pytest
from penstock_migrations._rewriting.declaration import declare, python_note, undeclared
from penstock_migrations._rewriting.source_text import RewriteError

PYPROJECT = '[project]\nname = "a" # us\ndependencies = [\n    "httpx>=0.27", # provider\n]\n\n[tool.x]\ny = 1\n'
POETRY = '[tool.poetry]\nname = "a"\n\n[tool.poetry.dependencies]\npython = "^3.11"\nhttpx = "*"\n'
SETUP_CFG = "[options]\nzip_safe = no\ninstall_requires =\n    httpx\n    # ours\n    rich\n\n[options.extras]\nx = y\n"


def after(root, name, text, needed=("penstock-limits",)):
    """Declare in a file of this text, and return its text then."""
    (root / name).write_bytes(text.encode())
    declaration = declare(root, needed)
    assert declaration.file == root / name
    return declaration.after.decode()


@pytest.mark.parametrize(
    ("name", "before", "old", "new"),
    [
        ("pyproject.toml", PYPROJECT, "# provider\n", '# provider\n    "penstock-limits",\n'),
        ("pyproject.toml", '[project]\ndependencies = ["a"]\n', '["a"]', '["a", "penstock-limits"]'),
        ("pyproject.toml", '[project]\nname = "a"\n', '"a"\n', '"a"\ndependencies = ["penstock-limits"]\n'),
        ("pyproject.toml", POETRY, 'httpx = "*"\n', 'httpx = "*"\npenstock-limits = "*"\n'),
        ("setup.cfg", SETUP_CFG, "    rich\n", "    rich\n    penstock-limits\n"),
        ("requirements.txt", "httpx==0.27\n", "0.27\n", "0.27\npenstock-limits\n"),
        ("requirements.txt", "httpx==0.27", "0.27", "0.27\npenstock-limits\n"),
    ],
)
def test_a_line_is_added_and_the_rest_stays(tmp_path, name, before, old, new):
    """Comments, order and layout are the people's."""
    assert after(tmp_path, name, before) == before.replace(old, new)
    assert after(tmp_path, name, before.replace(old, new)) == before.replace(old, new)


def test_line_ends_stay(tmp_path):
    """A file from Windows stays one."""
    text = PYPROJECT.replace("\n", "\r\n")

    assert after(tmp_path, "pyproject.toml", text).replace('    "penstock-limits",\r\n', "") == text


@pytest.mark.parametrize("spelling", ["penstock-limits>=0.1", "Penstock_Limits[x]", "penstock.limits; extra"])
def test_a_declared_name_is_known_in_every_spelling(tmp_path, spelling):
    """The package index takes them for one."""
    (tmp_path / "requirements.txt").write_text(f"{spelling}\n")

    assert undeclared(tmp_path, ["penstock-limits", "penstock-flags"]) == ["penstock-flags"]


def test_dynamic_dependencies_are_declared_where_they_are_read_from(tmp_path):
    """`dynamic` in pyproject.toml says that they stand elsewhere."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\ndynamic = ["dependencies"]\n')

    assert after(tmp_path, "requirements.txt", "httpx\n") == "httpx\npenstock-limits\n"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("setup.py", "setup()\n", "in code, setup.py"),
        ("README", "", "nowhere"),
        ("pyproject.toml", "[project\n", "cannot be parsed"),
    ],
)
def test_what_cannot_be_declared_is_said(tmp_path, name, text, reason):
    """The caller tells people what to add by hand."""
    (tmp_path / name).write_text(text)

    with pytest.raises(RewriteError, match=reason):
        declare(tmp_path, ["penstock-limits"])


@pytest.mark.parametrize(
    ("promise", "noted"),
    [(">=3.9", True), (">=3.10,<4", True), (">=3.11", False), (">=3.12", False), ("<4", False), ("", False)],
)
def test_a_promise_that_the_runtime_cannot_keep_is_noted(tmp_path, promise, noted):
    """Installing on an older Python would fail; people decide what to give up."""
    (tmp_path / "pyproject.toml").write_text(f'[project]\nrequires-python = "{promise}"\n')

    assert (python_note(tmp_path) is not None) == noted
