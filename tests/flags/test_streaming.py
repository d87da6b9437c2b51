"""With a key, flags stream from LaunchDarkly; a LaunchDarkly that is not there stops nobody."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import socket
import threading
import warnings
from pathlib import Path

import penstock_flags
import pytest
from penstock_flags._connection import Connection
from penstock_flags._document import new_flag, with_mode
from penstock_flags._project import packaged_declarations

from tests.flags.conftest import PATIENCE, Log, change_of
from tests.flags.fake_launchdarkly import FakeLaunchDarkly

KEY = "sdk-0123-very-secret"
OFF = new_flag(packaged_declarations()["bounded-fanout"])
OBSERVE = with_mode(OFF, "observe", 100, seed=1)
ENFORCE = with_mode(OBSERVE, "enforce", 100, seed=1)


@pytest.fixture(autouse=True)
def ended():
    """End each test with the threads it has started ended, and its sockets closed."""
    before = set(threading.enumerate())
    yield
    while started := set(threading.enumerate()) - before:
        for thread in started:
            if thread.ident is not None:  # else it is just being started
                thread.join(PATIENCE)
                assert not thread.is_alive(), thread.name
    with warnings.catch_warnings():
        # The SDK leaves the socket of a refused connection to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def launchdarkly(monkeypatch: pytest.MonkeyPatch):
    with FakeLaunchDarkly(KEY, {"bounded-fanout": OBSERVE}) as server:
        monkeypatch.setenv("LAUNCHDARKLY_SDK_KEY", KEY + "\n")  # as it comes out of many a secret's file
        monkeypatch.setenv("LAUNCHDARKLY_STREAM_URI", server.url)
        yield server


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    monkeypatch.setenv("LAUNCHDARKLY_SDK_KEY", KEY)
    monkeypatch.setenv("LAUNCHDARKLY_STREAM_URI", f"http://127.0.0.1:{port}")
    return port


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds have been waited for a connection at most, each time."""
    seconds: list[float] = []
    wait = Connection.wait
    monkeypatch.setattr(Connection, "wait", lambda self, limit: (seconds.append(limit), wait(self, limit)))
    return seconds


def test_modes_come_from_launchdarkly(launchdarkly: FakeLaunchDarkly):
    """The first modes are LaunchDarkly's, and so is every change."""
    with penstock_flags.open(wait=PATIENCE) as flags:
        assert flags.mode("bounded-fanout") == "observe"
        change_of(flags, lambda: launchdarkly.patch(ENFORCE))
        assert flags.mode("bounded-fanout") == "enforce"
        assert flags.snapshot.source == "LaunchDarkly"


def test_key_goes_before_files(launchdarkly: FakeLaunchDarkly, directory: Path):
    """With a key the environment's file does not count; `flags.toml` says which flags there are."""
    with penstock_flags.open("production", directory, wait=PATIENCE) as flags:
        assert flags.mode("bounded-fanout") == "observe"


def test_rollout_follows_the_instance(launchdarkly: FakeLaunchDarkly):
    """LaunchDarkly's percentages choose among instances, by the same context kind as the files'."""
    target = {"contextKind": "instance", "variation": 2, "values": ["blue"]}
    launchdarkly.flags["bounded-fanout"] = OBSERVE | {"contextTargets": [target]}

    with penstock_flags.open(instance="blue", wait=PATIENCE) as blue, penstock_flags.open(wait=PATIENCE) as other:
        assert blue.mode("bounded-fanout") == "enforce"
        assert other.mode("bounded-fanout") == "observe"


def test_only_the_stream_is_asked_for(launchdarkly: FakeLaunchDarkly):
    """The key authorizes one request for the stream; no event is sent anywhere."""
    with penstock_flags.open(wait=PATIENCE) as flags:
        change_of(flags, lambda: launchdarkly.patch(ENFORCE))

    assert [request["path"] for request in launchdarkly.requests] == ["/all"]


def test_flag_of_another_shape_counts_as_its_default(launchdarkly: FakeLaunchDarkly, log: Log):
    """A flag that serves no mode, such as true, counts as its default, and one line says so."""
    launchdarkly.flags["bounded-fanout"] = OBSERVE | {"variations": [False, True, True]}

    with penstock_flags.open(wait=PATIENCE) as flags:
        assert flags.mode("bounded-fanout") == "off"
        assert "the value True; allowed are off, observe, enforce" in log.wait_for("ERROR penstock.flags")


def test_unreachable_launchdarkly_is_waited_for_no_longer_than_asked(unreachable: int, waits: list[float], log: Log):
    """A start without LaunchDarkly ends with every mode off and one warning."""
    with penstock_flags.open(wait=0.01) as flags:
        assert waits == [0.01]
        assert flags.mode("bounded-fanout") == "off"
        log.wait_for("WARNING penstock.flags flags: LaunchDarkly has not answered yet")


async def test_unreachable_launchdarkly_does_not_hold_the_loop(unreachable: int, waits: list[float]):
    """Inside an event loop nothing is waited for, however long a wait was asked for."""
    with penstock_flags.open(wait=0.5) as flags:
        assert waits == [0]
        assert flags.mode("bounded-fanout") == "off"


def test_launchdarkly_that_comes_late_is_followed(unreachable: int):
    """Once LaunchDarkly can be reached, its modes count."""
    with penstock_flags.open(wait=0.01) as flags, contextlib.ExitStack() as late:
        fake = functools.partial(FakeLaunchDarkly, KEY, {"bounded-fanout": ENFORCE}, port=unreachable)
        change_of(flags, lambda: late.enter_context(fake()))
        assert flags.mode("bounded-fanout") == "enforce"


def test_stream_that_breaks_keeps_the_last_modes(unreachable: int, log: Log):
    """When LaunchDarkly goes away, the last modes stay; when it is back, its changes are followed."""
    with FakeLaunchDarkly(KEY, {"bounded-fanout": OBSERVE}, port=unreachable):
        flags = penstock_flags.open(wait=PATIENCE)
    with flags, contextlib.ExitStack() as later:
        log.wait_for("will retry")
        assert flags.mode("bounded-fanout") == "observe"
        fake = functools.partial(FakeLaunchDarkly, KEY, {"bounded-fanout": ENFORCE}, port=unreachable)
        change_of(flags, lambda: later.enter_context(fake()))
        assert flags.mode("bounded-fanout") == "enforce"


@pytest.mark.parametrize("address", ["http://[nonsense", "relay.example.com", "ftp://relay.example.com", "http://"])
def test_nonsense_for_an_address_is_refused(monkeypatch: pytest.MonkeyPatch, address: str):
    """An address that is none is refused at once, with what is expected."""
    monkeypatch.setenv("LAUNCHDARKLY_SDK_KEY", KEY)
    monkeypatch.setenv("LAUNCHDARKLY_STREAM_URI", address)

    with pytest.raises(penstock_flags.InvalidFlagsError, match=r"LAUNCHDARKLY_STREAM_URI: .* write https://HOST"):
        penstock_flags.open()


@pytest.mark.parametrize(
    "key", ["sdk-wrong-secret", "sdk-with a-space-secret", "sdk-\u00fc-secret", "sdk\n-line-secret"]
)
def test_key_is_never_shown(launchdarkly: FakeLaunchDarkly, monkeypatch: pytest.MonkeyPatch, log: Log, capfd, key: str):
    """Neither log nor repr nor output shows a key, not even one that is refused or cannot be sent."""
    monkeypatch.setenv("LAUNCHDARKLY_SDK_KEY", key)
    with penstock_flags.open(wait=0.01) as flags:
        log.wait_for("401")
        shown = [repr(flags), repr(flags.snapshot), repr(vars(flags)), *log.lines, *capfd.readouterr()]

    assert flags.mode("bounded-fanout") == "off"
    assert not [text for text in shown if "secret" in text]


def test_close_ends_the_stream(launchdarkly: FakeLaunchDarkly):
    """After close no thread of the SDK or of ours is left."""
    before = set(threading.enumerate())
    flags = penstock_flags.open(wait=PATIENCE)
    ours = [
        thread
        for thread in set(threading.enumerate()) - before
        if thread.name.startswith(("ldclient", "penstock-flags"))
    ]
    flags.close()
    for thread in ours:
        thread.join(PATIENCE)

    assert ours
    assert not [thread.name for thread in ours if thread.is_alive()]


def test_documents_are_what_launchdarkly_sends():
    """A flag of ours survives the trip through JSON, as a stream sends it."""
    assert json.loads(json.dumps(ENFORCE)) == ENFORCE
