"""From two snapshots to the rows of a table: what is in use, what waits, how fast it goes."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

__all__ = ["Row", "TaskRow", "printable", "rows_of", "tasks_of"]

_NEAR: Final = 0.8  # where a process does not say from which share of a limit on it is near it
_AVAILABLE: Final = re.compile(r"dimensions\.(.+)\.available")
_NUMBERED: Final = re.compile(r"Task-\d+")

Snapshot = Mapping[str, Any]
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A resource.

    Attributes:
        kind: Its kind.
        name: Its name.
        mode: Its mode; empty if it has none.
        share: The share of its limit that is in use; None if it has none.
        said: How much that is, or the state that it is in.
        level: `full`, `near`, `open`, `half open`, or empty.
        queued: Who waits; None if nobody can.
        rate: How much it did per second since the snapshot before; None if there is none.
        refused: How much it refused per second.
    """

    kind: str
    name: str
    mode: str
    share: float | None
    said: str
    level: str
    queued: int | None
    rate: float | None
    refused: float | None


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Tasks of one name that were made at one place.

    Attributes:
        name: Their name, or what they run if they have a number for a name.
        number: How many there are.
        new: How many of them were made, per second, since the snapshot before; None if there is none.
        age: How old the oldest is, in seconds.
        waits_on: What most of them wait on.
        created: Where they were made.
    """

    name: str
    number: int
    new: float | None
    age: float
    waits_on: str
    created: str


def printable(text: object) -> str:
    """Return a text without what moves a terminal's cursor, or does worse."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text))


def rows_of(now: Snapshot, before: Snapshot | None) -> list[Row]:
    """Return a row for each resource."""
    old = dict(_keyed(before["resources"])) if before else {}
    passed = now["at"] - before["at"] if before else 0.0
    near = now["process"].get("threshold", _NEAR)
    return [_row(each, old.get(key), passed, near) for key, each in _keyed(now["resources"])]


def _keyed(resources: Iterable[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str, int], Mapping[str, Any]]]:
    """Tell resources of one name apart by their order."""
    seen: Counter[tuple[str, str]] = Counter()
    for each in resources:
        key = (each["kind"], each["name"])
        seen[key] += 1
        yield (*key, seen[key]), each


def _row(each: Mapping[str, Any], old: Mapping[str, Any] | None, passed: float, near: float) -> Row:
    kind, values = each["kind"], each["values"]
    fields = _kinds().get(kind, {"done": [], "refused": []})
    share, said = _used(kind, values)
    last = old["values"] if old else None
    return Row(
        kind=printable(kind),
        name=printable(each["name"]),
        mode=printable(each["mode"] or ""),
        share=share,
        said=printable(said),
        level=_level(kind, share, said, values, near),
        queued=values.get("queued"),
        rate=_speed(fields["done"], values, last, passed),
        refused=_speed(fields["refused"], values, last, passed),
    )


@functools.cache
def _kinds() -> dict[str, dict[str, list[str]]]:
    """Return which fields of a kind count what was done and what was refused."""
    text = (files("penstock_monitoring") / "_view" / "page" / "kinds.json").read_text(encoding="utf-8")
    kinds: dict[str, dict[str, list[str]]] = json.loads(text)
    return kinds


def _used(kind: str, values: Values) -> tuple[float | None, str]:
    if kind == "breaker":
        return None, str(values.get("state") or "").replace("_", " ")
    if kind == "rate":
        return _used_of_rate(values)
    running, most = values.get("running"), values.get("max_running")
    if running is None:
        return None, ""
    if most is None:
        return None, f"{running}"
    share = running / most if most else float(bool(running or values.get("queued")))
    return share, f"{running}/{most}"


def _used_of_rate(values: Values) -> tuple[float | None, str]:
    """Return how much is used of the dimension of which most is."""
    used = [
        (min(1.0, max(0.0, 1 - available / amount)), found[1])
        for field, available in values.items()
        if available is not None
        and (found := _AVAILABLE.fullmatch(field))
        and (amount := values.get(f"dimensions.{found[1]}.amount"))
    ]
    if not used:
        return None, ""
    share, dimension = max(used)
    return share, f"{dimension} {share:.0%}"


def _level(kind: str, share: float | None, said: str, values: Values, near: float) -> str:
    if share is None:
        return said if kind == "breaker" and said != "closed" else ""
    if share >= 1 or (values.get("queued") and share >= near):
        return "full"
    return "near" if share >= near else ""


def _speed(fields: list[str], values: Values, last: Values | None, passed: float) -> float | None:
    if last is None or passed <= 0 or all(values.get(field) is None for field in fields):
        return None
    grown = sum((values.get(field) or 0) - (last.get(field) or 0) for field in fields)
    return float(max(0, grown)) / passed


def tasks_of(now: Snapshot, before: Snapshot | None) -> list[TaskRow]:
    """Return a row for all tasks of one name that were made at one place, the oldest first."""
    passed = now["at"] - before["at"] if before else 0.0
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for manager in now["tasks"]:
        for node in _below(manager):
            groups.setdefault((_called(node), str(node.get("created") or "")), []).append(node)
    rows = [_task_row(*key, nodes, passed) for key, nodes in groups.items()]
    return sorted(rows, key=lambda row: (-row.age, row.name))


def _below(root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting = list(root["children"])
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node["children"])


def _called(node: Mapping[str, Any]) -> str:
    name = str(node.get("name") or "")
    return str(node.get("function") or name) if _NUMBERED.fullmatch(name) else name


def _waits_on(node: Mapping[str, Any], *, alone: bool) -> str:
    """Return what a task waits on; of several the sleeps are one, however long each is."""
    waits_on = str(node.get("waits_on") or "")
    return "sleep" if waits_on.startswith("sleep of ") and not alone else waits_on


def _task_row(name: str, created: str, nodes: list[Mapping[str, Any]], passed: float) -> TaskRow:
    ages = [float(node.get("age") or 0.0) for node in nodes]
    waits = Counter(_waits_on(node, alone=len(nodes) == 1) for node in nodes).most_common()
    most = waits[0][0] + (f" and {len(waits) - 1} more" if len(waits) > 1 else "")
    new = sum(age < passed for age in ages) / passed if passed > 0 else None
    return TaskRow(printable(name), len(nodes), new, max(ages), printable(most), printable(created))
