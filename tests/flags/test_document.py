"""Setting a mode makes a good document, which LaunchDarkly's SDK reads as we do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldclient.client import LDClient
from ldclient.config import Config
from ldclient.context import Context
from ldclient.integrations import Files
from penstock_flags._declaration import MODES, Mode
from penstock_flags._document import describe, new_flag, serves_everyone, with_mode
from penstock_flags._lint import check_environment
from penstock_flags._project import packaged_declarations

DECLARED = packaged_declarations()
OFF = new_flag(DECLARED["bounded-fanout"])


def set_to(flag: dict[str, Any], mode: Mode, percent: float = 100) -> dict[str, Any]:
    return with_mode(flag, mode, percent, seed=1)


@given(st.lists(st.tuples(st.sampled_from(MODES), st.floats(0, 100)), max_size=8))
def test_whatever_is_set_passes_the_linter(steps: list[tuple[Mode, float]]):
    """Any sequence of modes and shares makes documents that the linter passes, with versions that grow by one."""
    flag = OFF
    for mode, percent in steps:
        # A share of the mode that everyone has is refused.
        flag = set_to(flag, mode, 100 if serves_everyone(flag, mode) else percent)
    content = json.dumps({"flags": {"bounded-fanout": flag}}).encode()

    assert check_environment(content, DECLARED, "canary.json")[1] == []
    assert flag["version"] == 1 + len(steps)


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([("enforce", 100)], "enforce"),
        ([("enforce", 10)], "off 90%, enforce 10%"),
        ([("enforce", 10), ("enforce", 25)], "off 75%, enforce 25%"),
        ([("observe", 100), ("enforce", 12.5)], "observe 87.5%, enforce 12.5%"),
        ([("enforce", 100), ("off", 5)], "off 5%, enforce 95%"),
        ([("enforce", 10), ("enforce", 0)], "off"),
        ([("enforce", 10), ("enforce", 100)], "enforce"),
        ([("enforce", 10), ("off", 100)], "off"),
    ],
)
def test_share_leaves_the_others_what_they_have(steps: list[tuple[Mode, float]], text: str):
    """A share of instances gets the mode, the others keep theirs."""
    flag = OFF
    for mode, percent in steps:
        flag = set_to(flag, mode, percent)

    assert describe(flag) == text


def test_share_of_what_everyone_has_is_refused():
    """A share of the mode that everyone has already would change nothing, and is refused."""
    with pytest.raises(ValueError, match="every instance has enforce already"):
        set_to(set_to(OFF, "enforce"), "enforce", 10)


def test_off_is_off_for_everyone():
    """`off` switches off the targets and rules too, and they are back with the next mode."""
    target = {"contextKind": "instance", "variation": 2, "values": ["blue"]}
    flag = set_to(OFF | {"contextTargets": [target]}, "observe")

    assert describe(flag) == "observe (after 1 rule)"
    assert not serves_everyone(flag, "observe")
    assert describe(set_to(flag, "off")) == "off"
    assert describe(set_to(set_to(flag, "off"), "observe")) == "observe (after 1 rule)"


@pytest.mark.parametrize("mode", MODES)
def test_sdks_own_file_source_reads_the_same(tmp_path: Path, mode: Mode):
    """The files are LaunchDarkly's format: its SDK's own source serves the same mode from them."""
    path = tmp_path / "production.json"
    path.write_text(json.dumps({"flags": {"bounded-fanout": set_to(OFF, mode)}}))
    source = Files.new_data_source([str(path)], auto_update=True, poll_interval=1, force_polling=True)
    with LDClient(Config("key", update_processor_class=source, send_events=False)) as client:
        served = client.variation("bounded-fanout", Context.create("blue", "instance"), "default")

    assert served == mode


def test_context_of_another_kind_gets_the_safest(tmp_path: Path):
    """A rollout serves a context of the wrong kind its first variation, whatever the weights: so it is the safest."""
    path = tmp_path / "production.json"
    path.write_text(json.dumps({"flags": {"bounded-fanout": set_to(OFF, "enforce", 99)}}))
    source = Files.new_data_source([str(path)])
    with LDClient(Config("key", update_processor_class=source, send_events=False)) as client:
        served = client.variation("bounded-fanout", Context.create("ann", "user"), "default")

    assert served == "off"
