"""A file changes while a program runs: the good are followed, the bad are survived."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import penstock_flags
import pytest
from penstock_flags._file_source import FileSource
from penstock_flags._project import Project
from penstock_flags._writer import set_mode

from tests.flags.conftest import PATIENCE, Log, change_of, replace


@pytest.fixture
def flags(directory: Path):
    with penstock_flags.open("production", directory) as flags:
        yield flags


def test_change_makes_a_new_snapshot(flags: penstock_flags.Flags, put):
    """A snapshot never changes; a flip makes a new one."""
    before = flags.snapshot
    change_of(flags, lambda: put("enforce"))

    assert before.modes == {"bounded-fanout": "off", "pooled-database": "off", "managed-threads": "off"}
    assert flags.snapshot.modes == {"bounded-fanout": "enforce", "pooled-database": "off", "managed-threads": "off"}
    with pytest.raises(TypeError):
        flags.snapshot.modes["bounded-fanout"] = "off"  # type: ignore[index]


def test_version_need_not_grow(flags: penstock_flags.Flags, production: Path):
    """Whoever edits by hand may forget the version, which the SDK's listeners go by."""
    document = json.loads(production.read_text())
    document["flags"]["bounded-fanout"] |= {"on": True, "fallthrough": {"variation": 1}}
    change_of(flags, lambda: replace(production, json.dumps(document)))

    assert flags.mode("bounded-fanout") == "observe"


def test_same_size_and_time_is_noticed(flags: penstock_flags.Flags, production: Path, put):
    """A change is seen by its content: neither size nor time of the file need differ."""
    import os

    change_of(flags, lambda: put("observe"))
    text, status = production.read_text(), production.stat()

    def rewrite() -> None:
        production.write_text(text.replace('"variation": 1', '"variation": 2'))
        os.utime(production, ns=(status.st_atime_ns, status.st_mtime_ns))

    change_of(flags, rewrite)

    assert flags.mode("bounded-fanout") == "enforce"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no JSON"),
        (b'{"flags": {', "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[]", "must be an object"),
        (b'{"flags": {"bounded-fanout": {"key": "bounded-fanout", "version": 9, "on": "yes"}}}', ".on: "),
        (b'{"flags": {"other": {"key": "other", "version": 1, "rules": 5}}}', "SDK cannot decode it"),
    ],
)
def test_broken_file_keeps_the_last_good_flags(
    flags: penstock_flags.Flags, production: Path, put, log: Log, capfd, content: bytes, complaint: str
):
    """A broken file changes no mode, is reported in one line, and is followed again once it is repaired."""
    change_of(flags, lambda: put("enforce"))
    good = production.read_text()
    replace(production, content)
    line = log.wait_for("ERROR penstock.flags")

    assert complaint in line
    assert f"flags: {production}: " in line
    assert line.endswith("the last good flags stay")
    assert flags.mode("bounded-fanout") == "enforce"
    change_of(flags, lambda: replace(production, good.replace('"variation": 2', '"variation": 1')))
    log.wait_for("is good again")
    assert len([line for line in log.lines if "ERROR" in line]) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_vanished_file_keeps_the_last_good_flags(flags: penstock_flags.Flags, production: Path, put, log: Log):
    """A file that goes away changes no mode; it is followed again once it is back."""
    change_of(flags, lambda: put("enforce"))
    good = production.read_text()
    production.unlink()

    assert "cannot be read: No such file" in log.wait_for("ERROR penstock.flags")
    assert flags.mode("bounded-fanout") == "enforce"
    change_of(flags, lambda: replace(production, good.replace('"variation": 2', '"variation": 1')))


def test_file_broken_from_the_start_is_off_until_repaired(directory: Path, production: Path, log: Log):
    """A program starts with a broken file: defaults count, one line says so, and the repair is followed."""
    good = production.read_text().replace('"on": false', '"on": true').replace('"variation": 0', '"variation": 2')
    production.write_text("{")

    with penstock_flags.open("production", directory) as flags:
        assert flags.mode("bounded-fanout") == "off"
        assert log.wait_for("ERROR penstock.flags").endswith("every flag counts as its default")
        change_of(flags, lambda: replace(production, good))
        assert flags.mode("bounded-fanout") == "enforce"


def test_flag_that_is_not_there_counts_as_its_default(flags: penstock_flags.Flags, production: Path, put, log: Log):
    """A declared flag that the file lacks counts as its default, and one line says so."""
    change_of(flags, lambda: put("enforce"))
    change_of(flags, lambda: replace(production, '{"flags": {}}'))

    assert flags.mode("bounded-fanout") == "off"
    assert "bounded-fanout from" in log.wait_for("FLAG_NOT_FOUND")


def test_swapped_link_is_followed(flags: penstock_flags.Flags, production: Path, put, tmp_path: Path):
    """Where a volume swaps a link to publish files, the new file counts."""
    change_of(flags, lambda: put("enforce"))
    published = tmp_path / "published.json"
    published.write_text(production.read_text().replace('"variation": 2', '"variation": 1'))
    link = tmp_path / "link"
    link.symlink_to(published)
    change_of(flags, lambda: link.replace(production))

    assert flags.mode("bounded-fanout") == "observe"


def test_touched_file_is_not_loaded_again(directory: Path, production: Path, log: Log, monkeypatch: pytest.MonkeyPatch):
    """A file whose time changes and whose content does not is looked at, and left alone."""
    looks, look = threading.Semaphore(0), FileSource._look
    monkeypatch.setattr(FileSource, "_look", lambda self: (look(self), looks.release()))
    with penstock_flags.open("production", directory):
        assert looks.acquire(timeout=PATIENCE)
        production.touch()
        assert looks.acquire(timeout=PATIENCE)
        assert looks.acquire(timeout=PATIENCE)

    assert len([line for line in log.lines if "Initialized 'features' store" in line]) == 1


def test_yaml_is_not_asked_to_read_json(directory: Path, put, monkeypatch: pytest.MonkeyPatch):
    """Where PyYAML is installed the SDK would parse JSON with it, many times as slow; we do not."""
    import yaml

    monkeypatch.setattr(yaml, "safe_load", lambda text: pytest.fail("YAML was asked"))
    put("observe")
    with penstock_flags.open("production", directory) as flags:
        assert flags.mode("bounded-fanout") == "observe"


def test_failing_subscriber_harms_no_other(flags: penstock_flags.Flags, put, log: Log):
    """What one subscriber raises is logged, and the next is called all the same."""

    def fail() -> None:
        raise ValueError("not me")

    flags.subscribe(fail)
    change_of(flags, lambda: put("observe"))

    log.wait_for("failed after a mode had changed")


def test_subscribers_hear_of_changed_modes_only(
    flags: penstock_flags.Flags, production: Path, put, monkeypatch: pytest.MonkeyPatch
):
    """A file that is loaded anew with the same modes calls nobody."""
    loaded, load = threading.Event(), FileSource._load
    monkeypatch.setattr(FileSource, "_load", lambda self, document: (load(self, document), loaded.set()))
    calls: list[str] = []
    flags.subscribe(lambda: calls.append(flags.mode("bounded-fanout")))
    replace(production, production.read_text().replace('"version": 1', '"version": 7'))
    assert loaded.wait(PATIENCE)
    change_of(flags, lambda: put("observe"))

    assert calls == ["observe"]


def test_unsubscribed_is_not_called(flags: penstock_flags.Flags, put):
    """A subscription ends when asked, and asking twice does no harm."""
    calls: list[str] = []
    unsubscribe = flags.subscribe(lambda: calls.append("called"))
    unsubscribe()
    unsubscribe()
    change_of(flags, lambda: put("observe"))

    assert calls == []


def test_rollout_reaches_its_share_of_instances(directory: Path, put):
    """A rollout of 30 percent reaches some instances and not others; 60 percent keeps all of the first."""

    def reached() -> set[str]:
        return {name for name in map(str, range(24)) if _mode(directory, name) == "enforce"}

    put("enforce", percent=30)
    first = reached()
    put("enforce", percent=60)
    second = reached()

    assert 0 < len(first) < len(second) < 24
    assert first < second


TWO_FLAGS = """
[flags.one]
phase = 1
description = "one of two"
owner = "tests"

[flags.two]
phase = 1
description = "two of two"
owner = "tests"
"""


def test_flags_of_a_phase_reach_the_same_instances(directory: Path, production: Path):
    """Whoever is a canary for one flag of a phase is one for the others."""
    (directory / "flags.toml").write_text(TWO_FLAGS)
    production.write_text('{"flags": {}}')
    for key in ("one", "two"):
        set_mode(Project(directory), "production", key, "enforce", percent=40)
    pairs = set()
    for instance in map(str, range(16)):
        with penstock_flags.open("production", directory, instance=instance) as flags:
            pairs.add((flags.mode("one"), flags.mode("two")))

    assert pairs == {("off", "off"), ("enforce", "enforce")}


def _mode(directory: Path, instance: str) -> str:
    with penstock_flags.open("production", directory, instance=instance) as flags:
        return flags.mode("bounded-fanout")
