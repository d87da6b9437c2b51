"""One flag in LaunchDarkly's format: made, read, and set to another mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_flags._declaration import MODES, Declaration, Mode

__all__ = ["CONTEXT_KIND", "WHOLE", "describe", "new_flag", "serves_everyone", "with_mode"]

# Rollouts choose among instances of the program. A context of any other kind gets a rollout's first variation.
CONTEXT_KIND = "instance"

# LaunchDarkly counts a rollout's weights in thousandths of a percent.
WHOLE = 100_000


def new_flag(declaration: Declaration) -> dict[str, Any]:
    """Return a flag as a new environment has it: its default mode, for everyone."""
    index = MODES.index(declaration.default)
    return {
        "key": declaration.key,
        "version": 1,
        "on": index > 0,
        "variations": list(MODES),
        "offVariation": 0,
        "fallthrough": {"variation": index},
        "contextTargets": [],
        "rules": [],
    }


def with_mode(flag: Mapping[str, Any], mode: Mode, percent: float, *, seed: int) -> dict[str, Any]:
    """Return the flag set to a mode, its version raised so that every listener hears of it.

    Args:
        flag: The flag as it is; it has passed the linter.
        mode: The new mode. `off` for everyone switches the flag off, whatever its rules and targets say.
        percent: The share of instances that get it; the others keep the mode they have now. Raising the share keeps
            the instances that have the mode already.
        seed: What the choice of instances depends on, beside their keys.

    Raises:
        ValueError: A share is asked for of the mode that everyone has already.
    """
    index, weight = MODES.index(mode), round(percent * WHOLE / 100)
    changed = {**flag, "version": flag["version"] + 1}
    if weight == WHOLE:
        return {**changed, "on": index > 0, "fallthrough": {"variation": index}}
    rest = _rest(flag, index)
    if rest == index:
        raise ValueError(f"every instance has {mode} already; set another mode for all of them before a share")
    if weight == 0:
        return {**changed, "on": rest > 0, "fallthrough": {"variation": rest}}
    # The safest comes first: it is what a context of the wrong kind gets, whatever the weights say.
    shares = sorted([(rest, WHOLE - weight), (index, weight)])
    rollout = {
        "contextKind": CONTEXT_KIND,
        "seed": seed,
        "variations": [{"variation": variation, "weight": share} for variation, share in shares],
    }
    return {**changed, "on": True, "fallthrough": {"rollout": rollout}}


def describe(flag: Mapping[str, Any]) -> str:
    """Return a flag's modes for people: `enforce`, or `off 90%, enforce 10%`, and how many rules come before."""
    if not flag["on"]:
        return MODES[int(flag["offVariation"])]
    shares = [(MODES[variation], weight) for variation, weight in _shares(flag) if weight]
    text = ", ".join(mode if weight == WHOLE else f"{mode} {weight * 100 / WHOLE:g}%" for mode, weight in shares)
    special = len(flag.get("rules", ())) + len(flag.get("targets", ())) + len(flag.get("contextTargets", ()))
    return f"{text} (after {special} {'rule' if special == 1 else 'rules'})" if special else text


def serves_everyone(flag: Mapping[str, Any], mode: Mode) -> bool:
    """Return whether every instance gets the mode, with no rule, target or rollout left."""
    return describe(flag) == mode


def _shares(flag: Mapping[str, Any]) -> list[tuple[int, int]]:
    fallthrough = flag["fallthrough"]
    if "variation" in fallthrough:
        return [(fallthrough["variation"], WHOLE)]
    return [(item["variation"], item["weight"]) for item in fallthrough["rollout"]["variations"]]


def _rest(flag: Mapping[str, Any], index: int) -> int:
    """Return the mode of the instances that do not get mode `index`."""
    if not flag["on"]:
        return int(flag["offVariation"])
    served = [variation for variation, weight in _shares(flag) if weight]
    return next((variation for variation in served if variation != index), index)
