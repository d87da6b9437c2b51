"""What is wrong with an environment's file, all of it at once, before anything loads it.

LaunchDarkly's SDK refuses the whole file for one flag it cannot decode, and serves some other mistakes in silence: a
variation that is not there, a rollout without a context kind. So the linter comes first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from penstock_flags._declaration import MODES, Declaration
from penstock_flags._document import CONTEXT_KIND, WHOLE
from penstock_flags._errors import Problem

__all__ = ["check_coverage", "check_environment"]

_TOP = ("flags", "segments")
_INDICES = ", ".join(f"{index} ({mode})" for index, mode in enumerate(MODES))


def check_environment(
    content: bytes, declarations: Mapping[str, Declaration], file: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Read an environment's file and list what is wrong with it.

    Args:
        content: The file's bytes.
        declarations: The declared flags; only these must have the three modes as their variations.
        file: The file's path, for messages.

    Returns:
        The document, with `flags` and `segments`, and the problems; with problems the document is not to be used.
    """
    linter = _Linter(file)
    document = linter.parse(content)
    for key, flag in document["flags"].items():
        before = len(linter.problems)
        linter.flag(f"flags.{key}", key, flag)
        if key in declarations and isinstance(flag, dict):
            linter.modes(f"flags.{key}", flag)
        if len(linter.problems) == before:
            linter.decodes("FEATURES", f"flags.{key}", flag)
    for key, segment in document["segments"].items():
        linter.flag(f"segments.{key}", key, segment)
        if isinstance(segment, dict):
            linter.decodes("SEGMENTS", f"segments.{key}", segment)
    return document, linter.problems


def check_coverage(document: Mapping[str, Any], declarations: Mapping[str, Declaration], file: str) -> list[Problem]:
    """List declared flags that the environment lacks, and flags in it that nobody declares."""
    missing = [
        Problem(file, f"flags.{key}", f"missing; it counts as {flag.default} until `penstock flags set` writes it")
        for key, flag in declarations.items()
        if key not in document["flags"]
    ]
    known = ", ".join(declarations)
    stray = [
        Problem(file, f"flags.{key}", f"not declared in flags.toml; declared are: {known}")
        for key in document["flags"]
        if key not in declarations
    ]
    return missing + stray


class _Linter:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def report(self, key: str, message: str) -> None:
        self.problems.append(Problem(self.file, key, message))

    def parse(self, content: bytes) -> dict[str, Any]:
        """Return the document with an object at `flags` and `segments`, whatever the file says."""
        document: Any = {}
        try:
            document = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            self.report("", f"no JSON: {error}")
            return {"flags": {}, "segments": {}}
        if not isinstance(document, dict):
            self.report("", 'must be an object: {"flags": {...}}')
            document = {"flags": {}}
        for key in document.keys() - set(_TOP):
            self.report(key, f"unknown; allowed are: {', '.join(_TOP)}")
        if "flags" not in document:
            self.report("flags", "missing")
        tables = {key: document.get(key, {}) for key in _TOP}
        return {key: table if self.is_table(key, table) else {} for key, table in tables.items()}

    def is_table(self, where: str, value: Any) -> bool:
        if not isinstance(value, dict):
            self.report(where, f"{_short(value)} must be an object")
        return isinstance(value, dict)

    def flag(self, where: str, key: str, flag: Any) -> None:
        """Check what LaunchDarkly expects of every flag and segment."""
        if not self.is_table(where, flag):
            return
        if flag.get("key") != key:
            self.report(f"{where}.key", f"{_short(flag.get('key'))} must be {key!r}")
        if not _is_number(flag.get("version")) or flag["version"] < 1:
            self.report(f"{where}.version", f"{_short(flag.get('version'))} must be a whole number from 1 on")

        self.array(f"{where}.prerequisites", flag.get("prerequisites", []))

    def modes(self, where: str, flag: Mapping[str, Any]) -> None:
        """Check what a flag needs that switches a mode."""
        if not isinstance(flag.get("on"), bool):
            self.report(f"{where}.on", f"{_short(flag.get('on'))} must be true or false")
        if flag.get("variations") != list(MODES):
            self.report(f"{where}.variations", f"{_short(flag.get('variations'))} must be {json.dumps(MODES)}")
        if flag.get("offVariation") != 0 or not _is_number(flag["offVariation"]):
            self.report(f"{where}.offVariation", f"{_short(flag.get('offVariation'))} must be 0 (off)")
        self.served(f"{where}.fallthrough", flag.get("fallthrough"))
        if flag.get("targets", []) != []:
            self.report(f"{where}.targets", f'means users; write contextTargets with "contextKind": "{CONTEXT_KIND}"')
        if isinstance(flag.get("prerequisites"), list) and flag["prerequisites"]:
            self.report(f"{where}.prerequisites", "must be empty: a mode hangs on no other flag")
        for name in ("contextTargets", "rules"):
            for index, item in enumerate(self.array(f"{where}.{name}", flag.get(name, []))):
                self.special(f"{where}.{name}[{index}]", name, item)

    def special(self, where: str, name: str, item: Any) -> None:
        """Check a rule or a target."""
        if not self.is_table(where, item):
            return
        if name == "contextTargets":
            self.context_kind(where, item)
            self.variation(f"{where}.variation", item.get("variation"))
            return
        self.served(where, item)
        for index, clause in enumerate(self.array(f"{where}.clauses", item.get("clauses"))):
            if self.is_table(f"{where}.clauses[{index}]", clause) and clause.get("op") != "segmentMatch":
                self.clause(f"{where}.clauses[{index}]", clause)

    def clause(self, where: str, clause: Mapping[str, Any]) -> None:
        attribute = clause.get("attribute")
        if attribute not in ("key", "kind"):
            self.report(f"{where}.attribute", f"{_short(attribute)} is nothing an instance has; allowed are: key, kind")
        elif attribute == "key":
            self.context_kind(where, clause)

    def served(self, where: str, holder: Any) -> None:
        """Check what is served: one variation, or a rollout over several."""
        if not self.is_table(where, holder):
            return
        if ("variation" in holder) == ("rollout" in holder):
            self.report(where, "must have either a variation or a rollout")
        elif "variation" in holder:
            self.variation(f"{where}.variation", holder["variation"])
        elif self.is_table(f"{where}.rollout", holder["rollout"]):
            self.rollout(f"{where}.rollout", holder["rollout"])

    def rollout(self, where: str, rollout: Mapping[str, Any]) -> None:
        self.context_kind(where, rollout)
        if rollout.get("bucketBy", "key") != "key":
            self.report(f"{where}.bucketBy", f'{_short(rollout["bucketBy"])} must be "key"')
        where = f"{where}.variations"
        items = rollout.get("variations")
        if not isinstance(items, list) or not items:
            self.report(where, f"{_short(items)} must be a list, and not empty")
            return
        if not all(self.is_table(where, item) for item in items):
            return
        indices, weights = [item.get("variation") for item in items], [item.get("weight") for item in items]
        before = len(self.problems)
        for index in indices:
            self.variation(where, index)
        if len(self.problems) == before and indices[0] != min(indices):
            self.report(where, "must begin with the safest mode: a context of another kind gets it")
        if not all(_is_number(weight) and weight >= 0 for weight in weights) or sum(weights) != WHOLE:
            self.report(where, f"weights {_short(weights)} must be whole numbers with the sum {WHOLE}")

    def variation(self, where: str, index: Any) -> None:
        if not _is_number(index) or not 0 <= index < len(MODES):
            self.report(where, f"{_short(index)} is no variation; allowed are: {_INDICES}")

    def context_kind(self, where: str, holder: Mapping[str, Any]) -> None:
        if holder.get("contextKind") != CONTEXT_KIND:
            self.report(f"{where}.contextKind", f'{_short(holder.get("contextKind"))} must be "{CONTEXT_KIND}"')

    def array(self, where: str, value: Any) -> list[Any]:
        if isinstance(value, list):
            return value
        self.report(where, f"{_short(value)} must be a list")
        return []

    def decodes(self, kind: str, where: str, item: Mapping[str, Any]) -> None:
        """Let the SDK have the last word on what it can decode."""
        from ldclient import versioned_data_kind

        try:
            getattr(versioned_data_kind, kind).decode(item)
        except Exception as error:  # noqa: BLE001 - whatever it says, the file would be refused
            self.report(where, f"LaunchDarkly's SDK cannot decode it: {error}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} stands twice in one object")
        result[key] = value
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
