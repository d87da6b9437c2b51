"""Who says the mode, and what happens when nobody or nonsense does."""

from __future__ import annotations

import logging

import pytest
from penstock_limits import ConfigurationError, Limiter, Mode, limiter, set_mode_source

from tests.limits.sources import Source


def mode() -> Mode:
    return Limiter(max_running=1, mode=None).mode


def test_without_a_source_everything_is_off() -> None:
    """Installing penstock changes nothing."""
    assert mode() is Mode.OFF


def test_the_source_says_the_mode() -> None:
    """And says it anew each time."""
    source = Source("observe")
    set_mode_source(source)
    assert mode() is Mode.OBSERVE

    source.turn("enforce")
    assert mode() is Mode.ENFORCE


def test_the_environment_goes_before_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """First PENSTOCK_MODE_<CAPABILITY>, then PENSTOCK_MODE, then the source."""
    set_mode_source(Source("off"))

    monkeypatch.setenv("PENSTOCK_MODE", "observe")
    assert mode() is Mode.OBSERVE

    monkeypatch.setenv("PENSTOCK_MODE_BOUNDED_FANOUT", "enforce")
    assert mode() is Mode.ENFORCE


@pytest.mark.parametrize("variable", ["PENSTOCK_MODE", "PENSTOCK_MODE_BOUNDED_FANOUT"])
def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """As deployment templates leave them."""
    monkeypatch.setenv(variable, "")

    set_mode_source(Source("observe"))

    assert mode() is Mode.OBSERVE


def test_what_is_made_by_hand_enforces_whatever_the_source_says() -> None:
    """Unless it is given a mode of its own."""
    set_mode_source(Source("off"))

    assert Limiter(max_running=1).mode is Mode.ENFORCE
    assert Limiter(max_running=1, mode="observe").mode is Mode.OBSERVE
    assert limiter("api_call").mode is Mode.OFF


def test_a_source_that_fails_counts_as_off_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A broken flag must not break the program, nor fill its log."""

    class Broken:
        def mode(self, capability: str) -> str:
            raise OSError("the flag file is gone")

    set_mode_source(Broken())
    with caplog.at_level(logging.ERROR, "penstock.limits"):
        assert [mode(), mode()] == [Mode.OFF, Mode.OFF]

    # Whatever else the process has by then, of other capabilities, has asked as well.
    told = [message for record in caplog.records if "bounded-fanout" in (message := record.getMessage())]
    assert told == ["the mode of bounded-fanout cannot be told and counts as off: the flag file is gone"]


def test_a_source_that_names_no_mode_counts_as_off() -> None:
    """A typing error in a flag does not switch anything on."""
    set_mode_source(Source("on"))

    assert mode() is Mode.OFF


def test_a_wrong_mode_in_the_environment_is_refused_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable, the value and what is allowed."""
    monkeypatch.setenv("PENSTOCK_MODE", "on")

    with pytest.raises(ConfigurationError, match="PENSTOCK_MODE: 'on' is no mode; allowed are off, observe, enforce"):
        set_mode_source(None)
    monkeypatch.undo()


def test_what_has_no_mode_is_no_source() -> None:
    """The mistake is told where it is made."""
    with pytest.raises(ConfigurationError, match="is no mode source: it needs mode"):
        set_mode_source("enforce")  # type: ignore[arg-type]


def test_a_new_source_ends_the_subscription_to_the_old() -> None:
    """The old one can be forgotten."""
    old = Source()
    set_mode_source(old)

    set_mode_source(Source())

    assert old._callbacks == []
