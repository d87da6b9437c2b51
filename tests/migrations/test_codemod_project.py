"""Which folder is the project that a path belongs to."""

from pathlib import Path

import pytest
from penstock_migrations._proving.project_copy import CopyError, copied
from penstock_migrations._rewriting.project import project_root


@pytest.fixture
def inner(tmp_path):
    """A folder two levels down."""
    (tmp_path / "outer/inner").mkdir(parents=True)
    return tmp_path / "outer/inner"


@pytest.mark.parametrize("name", ["pyproject.toml", "setup.cfg", "setup.py"])
def test_the_nearest_folder_that_declares_a_project_is_its_root(inner, name):
    """From a folder, or from a file in it."""
    (inner.parent / name).touch()
    (inner / "a.py").touch()

    assert project_root(inner) == project_root(inner / "a.py") == inner.parent


@pytest.mark.parametrize("boundary", [".git", "a-1.dist-info"])
def test_a_repository_or_a_wheel_is_not_left(inner, boundary):
    """What is declared above is somebody else's."""
    (inner.parent.parent / "pyproject.toml").touch()
    (inner.parent / boundary).mkdir()

    assert project_root(inner) == inner


def test_the_home_folder_is_not_left(inner, monkeypatch):
    """Nor is what lies about above it a project."""
    (inner.parent.parent / "pyproject.toml").touch()
    monkeypatch.setattr(Path, "home", lambda: inner.parent)

    assert project_root(inner) == inner


def test_requirements_make_a_project_only_at_a_repositorys_root(inner):
    """People keep them anywhere."""
    (inner.parent / "requirements.txt").touch()
    assert project_root(inner) == inner

    (inner.parent / ".git").mkdir()
    assert project_root(inner) == inner.parent


def test_what_cannot_be_one_project_is_not_copied(inner, monkeypatch):
    """A whole disk, say; the line says what to do."""
    monkeypatch.setattr("penstock_migrations._proving.project_copy._MOST_FILES", 1)
    (inner / "deep").mkdir()
    for name in ("deep/a", "deep/b"):
        (inner / name).touch()

    with pytest.raises(CopyError, match="more than 1 files: is it one project"), copied(inner):
        pass


def test_environments_are_linked_and_caches_left_out(inner):
    """Tests that run in the project's own environment find it; copying it would take minutes."""
    (inner / ".venv").mkdir()
    (inner / ".venv/pyvenv.cfg").touch()
    (inner / "__pycache__").mkdir()

    with copied(inner) as copy:
        assert (copy.root / ".venv").resolve() == inner / ".venv"
        assert not (copy.root / "__pycache__").exists()
        where = copy.root

    assert not where.exists()
    assert (inner / ".venv/pyvenv.cfg").exists()
