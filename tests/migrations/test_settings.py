"""The audit's settings: where they are looked for, and what is allowed."""

from __future__ import annotations

import pytest
from penstock_migrations._auditing.audit import audit
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
        ('per-path-ignores = ["tests/*"]', ["per-path-ignores", "tests/*", "a table such as"]),
        ('per-path-ignores = {"tests/*" = "1"}', ["per-path-ignores", "tests/*", "'1'", "a list"]),
        ('per-path-ignores = {"tests/*" = [9]}', ["per-path-ignores", "tests/*", "9", "1 to 8"]),
        ('severities = {PEN204 = "none"}', ["severities.PEN204", "none", "high, medium, low, off"]),
        ('severities = {gather = "low"}', ["severities.gather", "PEN101"]),
        ("severities = 3", ["severities", "3", "a table such as"]),
        ("include = [1.5]", ["include", "1.5", "a list"]),
        ("= broken", ["content", "a readable TOML file"]),
    ],
)
def test_refuses_what_is_wrong(tmp_path, line, said):
    """A wrong value is refused with file, key, value and what is allowed."""
    (tmp_path / "penstock.toml").write_text(f"[audit]\n{line}\n")

    with pytest.raises(SettingsError) as refused:
        Settings.load(tmp_path)

    assert all(word in str(refused.value) for word in ["penstock.toml", *said])


CALL = "import asyncio\n\nasync def run(xs):\n    await asyncio.gather(*[f(x) for x in xs])\n"


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        ('per-path-ignores = {"tests/*" = [1]}', ["src/one.py"]),
        ('per-path-ignores = {"tests" = ["PEN101"]}', ["src/one.py"]),
        ('per-path-ignores = {"test_*.py" = ["PEN101", 2]}', ["src/one.py"]),
        ('per-path-ignores = {"tests/*" = ["PEN102", 3]}', ["src/one.py", "tests/deep/test_one.py"]),
        ('per-path-ignores = {"*" = [1]}', []),
        ('include = ["src/*"]', ["src/one.py"]),
        ('include = ["deep"]', ["tests/deep/test_one.py"]),
        ('include = ["src", "test_*"]', ["src/one.py", "tests/deep/test_one.py"]),
        ('severities = {PEN101 = "off"}', []),
        ('severities = {1 = "off", PEN101 = "low"}', ["src/one.py", "tests/deep/test_one.py"]),
        ('severities = {1 = "medium"}\nseverity = "high"', []),
    ],
)
def test_settles_where_and_how_much_a_rule_matters(tmp_path, monkeypatch, setting, left):
    """Paths are the project's, from wherever the audit runs; a code goes before its issue."""
    (tmp_path / "penstock.toml").write_text(f"[audit]\n{setting}\n")
    for name in ("src/one.py", "tests/deep/test_one.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(CALL)

    for here in (tmp_path, tmp_path / "tests"):
        monkeypatch.chdir(here)
        found = audit([tmp_path], Settings.load(tmp_path)).findings
        assert sorted((tmp_path / "tests" / one.path).resolve().name for one in found) == sorted(
            name.rpartition("/")[2] for name in left
        )


def test_gives_a_finding_the_severity_that_is_set(tmp_path):
    """And its fingerprint stays."""
    (tmp_path / "one.py").write_text(CALL)
    (plain,) = audit([tmp_path], Settings()).findings
    (low,) = audit([tmp_path], Settings(severities=(("PEN101", "low"),))).findings

    assert (plain.severity, low.severity) == (Severity.HIGH, Severity.LOW)
    assert plain.fingerprint == low.fingerprint


def test_a_file_that_is_named_is_audited_whatever_is_included(tmp_path):
    """`include` chooses in folders."""
    (tmp_path / "one.py").write_text(CALL)

    assert audit([tmp_path / "one.py"], Settings(include=("src/*",))).files == 1
    assert audit([tmp_path], Settings(include=("src/*",))).files == 0
