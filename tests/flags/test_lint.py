"""The linter says what is wrong, where, and what is allowed; everything at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from penstock_flags._declaration import parse_declarations
from penstock_flags._document import new_flag
from penstock_flags._errors import InvalidFlagsError
from penstock_flags._lint import check_coverage, check_environment
from penstock_flags._project import packaged_declarations

DECLARED = packaged_declarations()
ROLLOUT = {
    "contextKind": "instance",
    "variations": [{"variation": 0, "weight": 90_000}, {"variation": 2, "weight": 10_000}],
}
RULE = {
    "variation": 2,
    "clauses": [{"contextKind": "instance", "attribute": "key", "op": "startsWith", "values": ["blue"]}],
}


def problems(content: Any) -> list[str]:
    """Lint a document, or raw bytes."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return [str(problem) for problem in check_environment(raw, DECLARED, "canary.json")[1]]


def flag(**changes: Any) -> dict[str, Any]:
    """A good flag with some changes; None takes a key away."""
    changed = {**new_flag(DECLARED["bounded-fanout"]), **changes}
    return {"flags": {"bounded-fanout": {key: value for key, value in changed.items() if value is not None}}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"on": True, "fallthrough": {"variation": 2}},
        {"fallthrough": {"rollout": ROLLOUT}},
        {"fallthrough": {"rollout": ROLLOUT | {"seed": 3}}},
        {"rules": [RULE]},
        {"rules": [{"rollout": ROLLOUT, "clauses": []}]},
        {"contextTargets": [{"contextKind": "instance", "variation": 1, "values": ["blue"]}]},
        {"salt": "pepper", "trackEvents": False, "clientSide": False},
    ],
)
def test_good_flag_passes(changes: dict[str, Any]):
    """What LaunchDarkly understands and is safe passes."""
    assert problems(flag(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key": "other"}, ".key: \"other\" must be 'bounded-fanout'"),
        ({"version": None}, ".version: null must be a whole number from 1 on"),
        ({"version": True}, ".version: true must be a whole number from 1 on"),
        ({"on": "yes"}, '.on: "yes" must be true or false'),
        ({"variations": [False, True]}, '.variations: [false, true] must be ["off", "observe", "enforce"]'),
        ({"offVariation": 2}, ".offVariation: 2 must be 0 (off)"),
        ({"offVariation": None}, ".offVariation: null must be 0 (off)"),
        ({"fallthrough": None}, ".fallthrough: null must be an object"),
        ({"fallthrough": {}}, ".fallthrough: must have either a variation or a rollout"),
        (
            {"fallthrough": {"variation": 3}},
            ".fallthrough.variation: 3 is no variation; allowed are: 0 (off), 1 (observe), 2 (enforce)",
        ),
        ({"fallthrough": {"variation": "off"}}, '.fallthrough.variation: "off" is no variation'),
        (
            {"fallthrough": {"rollout": ROLLOUT | {"contextKind": "user"}}},
            '.rollout.contextKind: "user" must be "instance"',
        ),
        (
            {"fallthrough": {"rollout": ROLLOUT | {"variations": ROLLOUT["variations"][::-1]}}},
            ".rollout.variations: must begin with the safest mode",
        ),
        (
            {"fallthrough": {"rollout": ROLLOUT | {"variations": ROLLOUT["variations"][:1]}}},
            "weights [90000] must be whole numbers with the sum 100000",
        ),
        ({"targets": [{"variation": 2, "values": ["ann"]}]}, ".targets: means users; write contextTargets"),
        ({"rules": 5}, ".rules: 5 must be a list"),
        ({"rules": [RULE | {"clauses": [{"attribute": "key", "op": "in", "values": []}]}]}, ".rules[0].clauses[0].con"),
        (
            {"rules": [RULE | {"clauses": [RULE["clauses"][0] | {"attribute": "country"}]}]},
            '.rules[0].clauses[0].attribute: "country" is nothing an instance has; allowed are: key, kind',
        ),
        ({"fallthrough": {"rollout": ROLLOUT | {"bucketBy": "country"}}}, '.bucketBy: "country" must be "key"'),
        ({"rules": [RULE | {"variation": 7}]}, ".rules[0].variation: 7 is no variation"),
        ({"prerequisites": [{"key": "other", "variation": 0}]}, ".prerequisites: must be empty"),
        ({"salt": 5}, "LaunchDarkly's SDK cannot decode it"),
    ],
)
def test_bad_flag_is_told(changes: dict[str, Any], expected: str):
    """One mistake is one problem, which names the file, the place, the value and what is allowed."""
    (problem,) = problems(flag(**changes))

    assert problem.startswith("canary.json: flags.bounded-fanout")
    assert expected in problem


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "canary.json: no JSON"),
        (b'{"flags": {"a": {}, "a": {}}}', "the key 'a' stands twice"),
        (b'{"flags": {"a": NaN}}', "NaN is no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\x80", "no JSON"),
        ([], "must be an object"),
        ({}, "flags: missing"),
        ({"flags": []}, "flags: [] must be an object"),
        ({"flags": {"a": 1}}, "flags.a: 1 must be an object"),
        ({"flags": {}, "flagValues": {"bounded-fanout": "off"}}, "flagValues: unknown; allowed are: flags, segments"),
        ({"flags": {}, "segments": {"s": {"key": "s", "version": 1, "rules": 5}}}, "segments.s: LaunchDarkly's SDK"),
    ],
)
def test_bad_file_is_told(content: Any, expected: str):
    """A file that is no environment at all is one problem."""
    (problem,) = problems(content)

    assert expected in problem


def test_everything_is_told_at_once():
    """All mistakes of a file are listed, in its order."""
    found = problems(flag(version=0, on=None, offVariation=1, fallthrough={"variation": 9}))

    assert [problem.split(": ")[1].split(".")[-1] for problem in found] == [
        "version",
        "on",
        "offVariation",
        "variation",
    ]


def test_other_flags_may_have_other_variations():
    """A flag that switches no capability of ours needs no modes; the linter asks whether it should be there."""
    document = {"flags": {"colour": {"key": "colour", "version": 1, "variations": ["red"], "offVariation": 0}}}
    assert problems(document) == []
    *missing, stray = map(str, check_coverage(document, DECLARED, "canary.json"))

    assert all(f"flags.{flag}: missing; it counts as off" in one for flag, one in zip(DECLARED, missing, strict=True))
    assert f"flags.colour: not declared in flags.toml; declared are: {', '.join(DECLARED)}" in stray


GOOD = "phase = 1\ndescription = 'd'\nowner = 'o'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags = 3", "flags.toml: flags: missing; write one table [flags.KEY] per flag"),
        ("[flags", "flags.toml: no TOML"),
        ("[flag.x]", "flags.toml: flag: unknown; allowed is: flags"),
        ("[flags]\nx = 1", "flags.toml: flags.x: 1 is no table"),
        ("[flags.x]\nphase = 1\ndescription = 'd'", "flags.toml: flags.x.owner: missing"),
        ("[flags.x]\nphase = 5", "flags.x.phase: 5 is no phase; allowed are: 1, 2, 3, 4"),
        ("[flags.x]\nphase = true", "flags.x.phase: True must be of type int"),
        (f"[flags.x]\n{GOOD}\ndefault = 'on'", "'on' is no mode; allowed are: off, observe, enforce"),
        (f"[flags.x]\n{GOOD}\nteam = 'o'", "flags.x.team: unknown; allowed are: capability, phase"),
        (f"[flags.x]\n{GOOD}\n[flags.y]\n{GOOD}\ncapability = 'x'", "flags.y.capability: 'x' is switched by x too"),
    ],
)
def test_bad_declaration_is_told(text: str, expected: str):
    """A mistake in flags.toml names the key, the value and what is allowed."""
    with pytest.raises(InvalidFlagsError) as caught:
        parse_declarations(text, "flags.toml")

    assert expected in str(caught.value)
