"""`penstock codemod` as people call it."""

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from penstock_migrations._rewriting import codemod as codemod_module
from penstock_migrations.commands import codemod

from tests.migrations.project import FAN_OUT, bytes_of, make_project

LIMITED = 'penstock_limits.gather(*[read(document) for document in documents], limit="api_call")'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project, and the working directory in it."""
    monkeypatch.chdir(make_project(tmp_path / "project"))
    return tmp_path / "project"


def run(*arguments):
    return CliRunner().invoke(codemod, [*map(str, arguments), "--reports", "../reports"], catch_exceptions=False)


def test_without_write_nothing_is_written(project):
    """The default shows, and leaves the code and its folder as they are."""
    before = bytes_of(project)

    result = run(".")

    assert result.exit_code == 1
    assert f"+    return await {LIMITED}" in result.stdout
    assert bytes_of(project) == before


def test_the_diff_applied_by_patch_is_what_write_writes(project, tmp_path):
    """What is shown is what is done, to the byte."""
    diff = run(".").stdout_bytes
    copy = make_project(tmp_path / "copy")
    subprocess.run(["patch", "-p1", "-s"], input=diff, cwd=copy, check=True)

    assert run(".", "--write").exit_code == 0

    assert bytes_of(copy) == bytes_of(project)


def test_a_second_run_has_nothing_to_do(project):
    """Rewriting is idempotent, the mode source and the declaration too."""
    assert run(".", "--write").exit_code == 0
    before = bytes_of(project)

    result = run(".", "--write")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing to do" in result.stderr
    assert bytes_of(project) == before


def test_the_start_and_the_declaration_get_what_the_rewrite_needs(project):
    """The code calls the runtime, so the project asks for it, and its start lets the flags decide."""
    run(".", "--write")

    start = (project / "agents/main.py").read_text()
    assert '"""Run it."""\n    penstock_limits.set_mode_source(penstock_flags.open())\n' in start
    assert '"penstock-flags",\n    "penstock-limits",\n' in (project / "pyproject.toml").read_text()


def test_a_project_that_only_connects_is_given_the_pools(tmp_path, monkeypatch):
    """What is imported is declared, with what the line at its start needs; nothing else."""
    source = 'import asyncpg\n\n\nasync def load():\n    c = await asyncpg.connect("postgresql://db")\n    try:\n'
    source += '        return await c.fetchval("SELECT 1")\n    finally:\n        await c.close()\n'
    monkeypatch.chdir(make_project(tmp_path / "project", {"agents/research.py": source}))

    assert run(".", "--write").exit_code == 0

    assert "import asyncpg\nimport penstock_pooling\n" in Path("agents/research.py").read_text()
    assert '"penstock-flags",\n    "penstock-limits",\n    "penstock-pooling",\n' in Path("pyproject.toml").read_text()
    assert "penstock_limits.set_mode_source(penstock_flags.open())" in Path("agents/main.py").read_text()


def test_a_project_without_a_start_is_told_what_to_add(project):
    """The line is named, for somebody to put it where it belongs."""
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.partition("[project.scripts]")[0])

    result = run(".", "--write")

    assert "no entry point was found" in result.output
    assert "add penstock_limits.set_mode_source(penstock_flags.open()) where it starts" in result.output
    assert "penstock-flags" not in (project / "pyproject.toml").read_text()


QUEUE = FAN_OUT.replace("asyncio.sleep(0)", "queue.join()")


def test_what_is_left_is_named_with_the_reason(project):
    """Work that waits for its peers is never rewritten; the status says that findings remain."""
    (project / "agents/waiting.py").write_text(QUEUE)

    result = run(".", "--write")

    assert result.exit_code == 1
    assert "left agents/waiting.py:12: PEN101: " in result.stdout
    assert (project / "agents/waiting.py").read_text() == QUEUE


@pytest.mark.parametrize(
    "content",
    [
        FAN_OUT.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + FAN_OUT.encode(),
        b"# coding: latin-1\n" + FAN_OUT.replace("Research", "Größe").encode("latin-1"),
        FAN_OUT.replace("    ", "\t").encode(),
        FAN_OUT.rstrip("\n").encode(),
    ],
    ids=["crlf", "mark", "latin-1", "tabs", "no-newline"],
)
def test_a_file_keeps_its_own_ways(project, tmp_path, content):
    """Line ends, mark, encoding, tabs and a missing last newline stay; the diff still applies."""
    (project / "agents/research.py").write_bytes(content)
    copy = make_project(tmp_path / "copy")
    (copy / "agents/research.py").write_bytes(content)
    subprocess.run(["patch", "-p1", "-s", "--binary"], input=run(".").stdout_bytes, cwd=copy, check=True)
    run(".", "--write")
    written = (project / "agents/research.py").read_bytes()

    newline = b"\r\n" if b"\r\n" in content else b"\n"
    back = written.replace(newline * 2 + b"import penstock_limits", b"", 1)
    assert back.replace(LIMITED.encode(), b"asyncio.gather(*[read(document) for document in documents])") == content
    assert (copy / "agents/research.py").read_bytes() == written


def test_a_file_that_changes_after_the_audit_is_audited_again(project, monkeypatch):
    """What is rewritten is what is there now, not what was."""
    file, audit = project / "agents/research.py", codemod_module.audit

    def audit_then_edit(*arguments, **options):
        report = audit(*arguments, **options)
        if not file.read_text().startswith("# moved"):
            file.write_text("# moved\n\n" + FAN_OUT)
        return report

    monkeypatch.setattr(codemod_module, "audit", audit_then_edit)

    assert run(".", "--write").exit_code == 0
    assert file.read_text().startswith("# moved\n")
    assert LIMITED in file.read_text()


def test_a_file_that_vanishes_after_the_audit_is_left_and_the_rest_goes_on(project, monkeypatch):
    """One line says so."""
    (project / "agents/other.py").write_text(FAN_OUT)
    audit = codemod_module.audit

    def audit_then_remove(*arguments, **options):
        report = audit(*arguments, **options)
        (project / "agents/other.py").unlink(missing_ok=True)
        return report

    monkeypatch.setattr(codemod_module, "audit", audit_then_remove)

    result = run(".", "--write")

    assert "left agents/other.py:12: PEN101: cannot be read: No such file or directory" in result.stdout
    assert LIMITED in (project / "agents/research.py").read_text()


def test_a_read_only_file_is_left_and_the_rest_goes_on(project):
    """One line says so; the other file is rewritten."""
    (project / "agents/other.py").write_text(FAN_OUT)
    (project / "agents/research.py").chmod(0o444)

    result = run(".", "--write")

    assert result.exit_code == 1
    assert "left agents/research.py:12: PEN101: is read-only" in result.stdout
    assert (project / "agents/research.py").read_text() == FAN_OUT
    assert LIMITED in (project / "agents/other.py").read_text()


def test_a_file_with_nothing_to_rewrite_may_be_read_only(project):
    """What is left is left for the rule's reason."""
    (project / "agents/waiting.py").write_text(QUEUE)
    (project / "agents/waiting.py").chmod(0o444)

    assert "read-only" not in run(".", "--write").stdout


def test_what_cannot_be_parsed_is_named_and_the_rest_goes_on(project):
    """A template or a file for another Python does not stop the run."""
    (project / "agents/broken.py").write_text("def (:\n")

    result = run(".", "--write")

    assert "agents/broken.py: does not parse" in result.stderr
    assert LIMITED in (project / "agents/research.py").read_text()


def test_a_file_with_two_names_is_rewritten_once(project):
    """By a symbolic link the target is written and the link stays; a hard link's other name is mentioned."""
    (project / "agents/link.py").symlink_to("research.py")
    os.link(project / "agents/research.py", project / "copy.txt")

    result = run(".", "--write")

    assert (project / "agents/link.py").is_symlink()
    assert (project / "agents/research.py").read_text().count("import penstock_limits") == 1
    assert "has another name (a hard link)" in result.stderr
    assert (project / "copy.txt").read_text() == FAN_OUT


@pytest.mark.parametrize("arguments", [["missing"], [".", "--select", "PEN999"], []])
def test_wrong_usage_is_status_2(project, arguments):
    """With a line that says what is allowed."""
    result = run(*arguments)

    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_subfolder_brings_its_project_along(project):
    """The start and the declaration lie above the path that was given."""
    result = run("agents", "--write")

    assert result.exit_code == 0
    assert "penstock-limits" in (project / "pyproject.toml").read_text()
