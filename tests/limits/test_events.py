"""Events in the log: by package, with fields, and not too many."""

from __future__ import annotations

import logging

import pytest
from penstock_limits import _events, emit


def emit_in(module: str, name: str, **details: object) -> None:
    """Emit an event as a module of that name would."""
    exec("emit(name, 'resource', **details)", {"__name__": module, "emit": emit, "name": name, "details": details})


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(_events, "_state", _events._State())
    caplog.set_level(logging.INFO, logger="penstock")
    return caplog


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("penstock_limits._limiters.limiter", "penstock.limits"),
        ("penstock_pooling._database._pool", "penstock.pooling"),
        ("penstock_tasks", "penstock.tasks"),
        ("agents.rag", "penstock"),
        ("penstock", "penstock"),
        ("", "penstock"),
    ],
)
def test_an_event_is_logged_by_the_package_where_it_happens(
    log: pytest.LogCaptureFixture, module: str, expected: str
) -> None:
    """So each can be turned up or down."""
    emit_in(module, "test.happened")

    assert [record.name for record in log.records] == [expected]


def test_a_record_has_the_fields_of_its_event(log: pytest.LogCaptureFixture) -> None:
    """No detail takes the place of what happened, or to whom."""
    emit_in("penstock_limits", "test.happened", counted=3, event="other")

    (record,) = log.records
    assert vars(record)["penstock"] == {"event": "test.happened", "resource": "resource", "counted": 3}


def test_one_event_of_one_resource_is_logged_once_a_second(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next line says how many it stands for; other events are not held back."""
    now = [100.0]
    monkeypatch.setattr(_events.time, "monotonic", lambda: now[0])
    for _ in range(5):
        emit_in("penstock_limits", "test.happened")
    emit_in("penstock_limits", "test.other")
    now[0] += _events.LOGGED_EVERY
    emit_in("penstock_limits", "test.happened")

    told = [record.getMessage().strip() for record in log.records]
    assert told == ["test.happened 'resource'", "test.other 'resource'", "test.happened 'resource'  (and 4 more)"]


def test_what_is_remembered_of_lines_does_not_grow_for_ever(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names come and go; those whose second is over are forgotten."""
    now = [100.0]
    monkeypatch.setattr(_events.time, "monotonic", lambda: now[0])
    for number in range(3 * _events.REMEMBERED):
        now[0] += 0.01
        emit_in("penstock_limits", f"test.number-{number}")

    assert len(_events._state.logged) <= _events.REMEMBERED


def test_a_log_that_is_off_costs_no_line(log: pytest.LogCaptureFixture) -> None:
    """And is not remembered."""
    logging.getLogger("penstock.pooling").setLevel(logging.ERROR)
    try:
        emit_in("penstock_pooling", "test.happened")
    finally:
        logging.getLogger("penstock.pooling").setLevel(logging.NOTSET)

    assert log.records == []
    assert _events._state.logged == {}
