"""Two promises of the linter: nothing makes it stumble, and what it passes LaunchDarkly can serve."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ldclient.client import LDClient
from ldclient.config import Config
from ldclient.context import Context
from ldclient.interfaces import UpdateProcessor
from ldclient.versioned_data_kind import FEATURES, SEGMENTS
from penstock_flags._declaration import MODES
from penstock_flags._document import new_flag
from penstock_flags._lint import check_environment
from penstock_flags._project import packaged_declarations

DECLARED = packaged_declarations()

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)

CLAUSE = {"contextKind": "instance", "attribute": "key", "op": "in", "values": ["blue"], "negate": False}
SHARES = [{"variation": 0, "weight": 40_000}, {"variation": 2, "weight": 60_000}]
FULL = new_flag(DECLARED["bounded-fanout"]) | {
    "on": True,
    "salt": "pepper",
    "prerequisites": [],
    "contextTargets": [{"contextKind": "instance", "variation": 1, "values": ["green"]}],
    "rules": [{"id": "a", "variation": 2, "clauses": [CLAUSE]}],
    "fallthrough": {"rollout": {"contextKind": "instance", "seed": 1, "variations": SHARES}},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place within a document."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(flag: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The flag with another value at one place."""
    if not path:
        return value
    flag = copy.deepcopy(flag)
    holder = flag
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return flag


@given(st.binary(max_size=40) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_nothing_makes_the_linter_stumble(content: bytes):
    """Whatever the bytes, the linter answers with a document and problems."""
    document, problems = check_environment(content, DECLARED, "canary.json")

    assert document.keys() == {"flags", "segments"}
    assert problems or b"flags" in content


@pytest.fixture(scope="module")
def client() -> Iterator[LDClient]:
    """A client of the SDK that is given its flags by hand."""

    class ByHand(UpdateProcessor):
        def __init__(self, config: Config, store: object, ready: Any) -> None:
            self.ready = ready

        def start(self) -> None:
            self.ready.set()

        def stop(self) -> None:
            """Nothing runs."""

        def initialized(self) -> bool:
            return True

        def is_alive(self) -> bool:
            return True

    config = Config("key", update_processor_class=ByHand, send_events=False)
    with LDClient(config) as client:
        client.by_hand = config.data_source_update_sink
        yield client


@given(st.sampled_from(list(places(FULL))), ANYTHING | st.sampled_from([*MODES, "instance", 90_000]))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_passes_the_linter_can_be_served(client: LDClient, path: tuple[Any, ...], value: Any):
    """Put anything at any place of a good flag: the linter refuses it, or LaunchDarkly serves a mode from it."""
    flag = replaced(FULL, path, value)
    content = json.dumps({"flags": {"bounded-fanout": flag}}).encode()
    _, problems = check_environment(content, DECLARED, "canary.json")
    if problems:
        return
    client.by_hand.init({FEATURES: {"bounded-fanout": flag}, SEGMENTS: {}})

    for instance in ("blue", "green", "red", "grey"):
        detail = client.variation_detail("bounded-fanout", Context.create(instance, "instance"), "default")
        assert detail.value in MODES, (detail.reason, flag)
        assert "errorKind" not in detail.reason


OTHER = {**FULL, "key": "other", "prerequisites": [{"key": "bounded-fanout", "variation": 0}]}
SEGMENT = {
    "key": "big",
    "version": 1,
    "included": ["ann"],
    "includedContexts": [{"contextKind": "instance", "values": ["blue"]}],
    "rules": [{"id": "a", "weight": 40_000, "rolloutContextKind": "instance", "clauses": [CLAUSE]}],
    "salt": "pepper",
}


@given(st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_passes_the_linter_can_be_loaded(client: LDClient, data: st.DataObject):
    """The same for flags that are not ours, and for segments: refused, or loaded by the SDK without complaint."""
    whole = {"flags": {"bounded-fanout": FULL, "other": OTHER}, "segments": {"big": SEGMENT}}
    path = data.draw(st.sampled_from([place for place in places(whole) if place and place[1:2] != ("bounded-fanout",)]))
    document = replaced(whole, path, data.draw(ANYTHING))
    _, problems = check_environment(json.dumps(document).encode(), DECLARED, "canary.json")

    if not problems:
        client.by_hand.init({FEATURES: document["flags"], SEGMENTS: document["segments"]})
