"""The audit's settings: where they are looked for, and what is allowed."""

from __future__ import annotations

import pytest
from penstock_migrations._auditing.settings import Settings, SettingsError
from penstock_migrations.rule import Severity


def test_has_a_default_for_everything(tmp_path):
    """Without a file, everything is audited, and the codemod writes the limit api_call."""
    settings = Settings.load(tmp_path)

    assert settings == Settings()
    assert settings.limit == "api_call"


def test_reads_pyproject_above_the_audited_path(tmp_path):
    """The nearest pyproject.toml with [tool.penstock] holds; one without is passed by."""
    (tmp_path / "pyproject.toml").write_text('[tool.penstock.audit]\nselect = ["PEN101", 2]\nlimit = "provider"\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text('[project]\nname = "a"\n')

    settings = Settings.load(inner)
    assert (settings.select, settings.limit) == (("PEN101", "2"), "provider")


def test_prefers_its_own_file(tmp_path):
    """penstock.toml goes before a pyproject.toml beside it."""
    (tmp_path / "pyproject.toml").write_text('[tool.penstock.audit]\nlimit = "one"\n')
    (tmp_path / "penstock.toml").write_text('[audit]\nlimit = "two"\nseverity = "high"\n')

    settings = Settings.load(tmp_path)
    assert (settings.limit, settings.severity) == ("two", Severity.HIGH)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('select = "PEN101"', ["select", "PEN101", "a list"]),
        ('select = ["PEN9"]', ["select", "PEN9", "1 to 8", "PEN101"]),
        ("ignore = [9]", ["ignore", "9", "1 to 8"]),
        ("exclude = [true, []]", ["exclude", "a list"]),
        ("limit = 3", ["limit", "3", "a string"]),
        ('limit = "a b"', ["limit", "a b", "api_call"]),
        ('severity = "huge"', ["severity", "huge", "high, medium, low"]),
        ('selct = ["PEN101"]', ["selct", "select"]),
        ("= broken", ["content", "a readable TOML file"]),
    ],
)
def test_refuses_what_is_wrong(tmp_path, line, said):
    """A wrong value is refused with file, key, value and what is allowed."""
    (tmp_path / "penstock.toml").write_text(f"[audit]\n{line}\n")

    with pytest.raises(SettingsError) as refused:
        Settings.load(tmp_path)

    assert all(word in str(refused.value) for word in ["penstock.toml", *said])
