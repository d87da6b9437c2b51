"""What a pool is told, by hand or in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_limits import ConfigurationError
from penstock_pooling import PoolSettings

DSN = "postgresql://user:sesame@host/database"


def test_the_rfcs_sizes_are_the_defaults() -> None:
    """5 to 20 connections, ten seconds."""
    settings = PoolSettings(DSN)

    assert (settings.min_size, settings.max_size, settings.acquire_timeout) == (5, 20, 10.0)


def test_secrets_are_not_shown() -> None:
    """Neither in the repr nor in an error."""
    settings = PoolSettings(DSN, password="sesame", connect_arguments={"passfile": "sesame"})

    assert "sesame" not in repr(settings)
    with pytest.raises(ConfigurationError) as caught:
        PoolSettings(["sesame"])
    assert str(caught.value) == "dsn = (not shown); allowed is a text: postgresql://user:password@host/database"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("min_size = -1", "min_size = -1; allowed is a whole number from 0"),
        ("max_size = 0", "max_size = 0; allowed is a whole number from 1"),
        ("max_size = true", "max_size = True; allowed is a whole number from 1"),
        ("min_size = 30", "min_size = 30; allowed is at most max_size (20)"),
        ("acquire_timeout = 0", "acquire_timeout = 0; allowed is seconds above 0"),
        ('target_session_attrs = "leader"', "target_session_attrs = 'leader'; allowed is one of: any, primary"),
        ('dsn_variable = ""', "dsn_variable = ''; allowed is the name of an environment variable"),
        (f'dsn = "{DSN}"\ndsn_variable = "DSN"', "dsn and dsn_variable are both given; keep one"),
    ],
)
@pytest.mark.parametrize("name", ["pyproject.toml", "penstock.toml"])
def test_a_wrong_value_is_refused_with_file_key_value_and_what_is_allowed(
    table: str, says: str, name: str, tmp_path: Path
) -> None:
    """In either file."""
    prefix = "" if name == "penstock.toml" else "tool.penstock."
    (tmp_path / name).write_text(f"[{prefix}pools.rag]\n{table}\n")
    with pytest.raises(ConfigurationError) as caught:
        PoolSettings.load(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path / name}: pools.rag: {says}")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("[pools.rag]\nmaximum = 3", "pools.rag.maximum is no setting; known are: dsn, dsn_variable, min_size"),
        ('[pools.rag]\npassword = "sesame"', "pools.rag.password is no setting; known are: dsn"),
        (f'[pools]\nrag = "{DSN}"', "pools.rag is no table; allowed is one with any of: dsn"),
        (f'pools = "{DSN}"', "pools is no table"),
        ("[pools", "is no valid TOML"),
    ],
)
def test_a_wrong_file_is_refused(document: str, says: str, tmp_path: Path) -> None:
    """Without showing what might be a secret."""
    (tmp_path / "penstock.toml").write_text(document)
    with pytest.raises(ConfigurationError) as caught:
        PoolSettings.load(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path / 'penstock.toml'}: {says}")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("document", ["tool = 1", "[tool]\npenstock = 1"])
def test_a_project_file_with_something_else_in_our_place_is_refused(document: str, tmp_path: Path) -> None:
    """It says which table is none."""
    (tmp_path / "pyproject.toml").write_text(document)
    with pytest.raises(ConfigurationError, match="is no table"):
        PoolSettings.load(tmp_path)


def test_a_file_that_is_not_there_is_an_error_and_a_folder_without_one_is_none(tmp_path: Path) -> None:
    """As for the other settings."""
    assert PoolSettings.load(tmp_path) == {}
    with pytest.raises(ConfigurationError, match="cannot be read"):
        PoolSettings.load(tmp_path / "penstock.toml")


def test_settings_become_arguments_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were given; the dsn from where it is."""
    monkeypatch.setenv("RAG_DSN", DSN)
    settings = PoolSettings(
        dsn_variable="RAG_DSN",
        command_timeout=5,
        target_session_attrs="read-only",
        connect_arguments={"ssl": False},
    )

    assert settings.connect_with("rag") == (
        DSN,
        {"command_timeout": 5, "target_session_attrs": "read-only", "ssl": False},
    )
