"""Writing files: the old content or the new, never a part; what may not be written is left."""

import os
from pathlib import Path

import pytest
from penstock_migrations._rewriting.write import Edit, WriteError, check_writable, write_all, write_atomically


def edit(file: Path, after: bytes) -> Edit:
    return Edit(file.name, file, file.read_bytes(), after, "")


@pytest.fixture
def files(tmp_path):
    """Three files of one byte each."""
    made = [tmp_path / name for name in "abc"]
    for file in made:
        file.write_bytes(b"1")
    return made


def test_the_mode_bits_stay(files):
    """An executable script stays executable."""
    files[0].chmod(0o755)

    write_all([edit(files[0], b"2")])

    assert files[0].read_bytes() == b"2"
    assert files[0].stat().st_mode & 0o777 == 0o755


def test_a_symbolic_link_stays_a_link_and_its_target_is_written(files, tmp_path):
    """A link in place of the file would cut it off from its target."""
    link = tmp_path / "link"
    link.symlink_to(files[0])

    write_all([edit(link, b"2")])

    assert link.is_symlink()
    assert files[0].read_bytes() == b"2"


def test_a_file_changed_meanwhile_is_left_and_so_are_all_others(files):
    """Somebody's edit is never overwritten."""
    edits = [edit(file, b"2") for file in files]
    files[2].write_bytes(b"theirs")

    with pytest.raises(WriteError, match="has changed"):
        write_all(edits)

    assert [file.read_bytes() for file in files] == [b"1", b"1", b"theirs"]


def test_a_read_only_file_is_left(files):
    """Its mode says that it is not to be written, also to root, whom nothing would stop."""
    files[0].chmod(0o444)

    with pytest.raises(WriteError, match="read-only"):
        write_all([edit(files[0], b"2")])

    assert files[0].read_bytes() == b"1"


def test_a_vanished_file_is_said_to_be_gone(tmp_path):
    """No traceback for what somebody removed."""
    with pytest.raises(WriteError, match="cannot be read any more"):
        check_writable(tmp_path / "gone")


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_whatever_interrupts_it_puts_back_what_was_replaced(files, monkeypatch, failure):
    """Ctrl-C or a full disk at the second file leaves all three as they were, and no temporary file."""
    before, replace, calls = {file.name for file in files}, Path.replace, []

    def interrupted(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise failure
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises((KeyboardInterrupt, WriteError)):
        write_all([edit(file, b"2") for file in files])

    assert [file.read_bytes() for file in files] == [b"1", b"1", b"1"]
    assert {file.name for file in files[0].parent.iterdir()} == before


def test_a_failure_while_staging_changes_nothing(files, monkeypatch):
    """The content of every file is on disk before the first is replaced."""

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left"):
        write_all([edit(file, b"2") for file in files])

    assert [file.read_bytes() for file in files] == [b"1", b"1", b"1"]
    assert len(list(files[0].parent.iterdir())) == 3


def test_a_new_file_gets_the_mode_that_files_get(tmp_path):
    """A report is readable to whom the umask allows it, as any file."""
    mask = os.umask(0o022)
    try:
        write_atomically(tmp_path / "report", b"2")
    finally:
        os.umask(mask)

    assert (tmp_path / "report").stat().st_mode & 0o777 == 0o644
