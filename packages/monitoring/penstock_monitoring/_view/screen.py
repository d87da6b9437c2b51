"""What `penstock top` shows: a head, the resources, the tasks, the keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from penstock_monitoring._view.look import Look
from penstock_monitoring._view.rows import Row, TaskRow, printable, rows_of, tasks_of
from penstock_monitoring._view.words import number, seconds

__all__ = ["everything", "fitted"]

ALERTS: Final = 3  # that are shown

_STYLES: Final = {"full": "bold red", "open": "bold red", "near": "yellow", "half open": "yellow"}
_MODES: Final = {"enforce": "green", "observe": "cyan", "off": "dim"}
_METER: Final = 12
_KEYS: Final = (
    ("q", "quit"),
    ("p", "pause"),
    ("s", "sort"),
    ("r", "reverse"),
    ("/", "filter"),
    ("tab", "view"),
    ("arrows", "scroll"),
)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column; the one with the lowest weight goes first where there is no room.

    Attributes:
        title: Its heading.
        width: Its width; 0 for what is left, which is what the first has if no other.
        weight: How much it matters.
        cell: What it shows of a row.
        sort: What it is sorted by, if it is.
        right: Whether it holds numbers.
    """

    title: str
    width: int
    weight: int
    cell: Callable[[Any], Text]
    sort: str = ""
    right: bool = False


def _meter(row: Row) -> Text:
    if row.share is None:
        return Text()
    inside = _METER - 2
    full = round(min(1.0, row.share) * inside)
    return Text.assemble("[", ("|" * full, _STYLES.get(row.level, "green")), " " * (inside - full), "]")


def _alarming(value: float | None, style: str) -> Text:
    return Text(number(value), style if value else "")


_RESOURCES: Final = (
    _Column("Name", 0, 10, lambda row: Text(row.name, _STYLES.get(row.level, "bold")), "name"),
    _Column("Kind", 14, 3, lambda row: Text(row.kind), "kind"),
    _Column("Mode", 7, 4, lambda row: Text(row.mode, _MODES.get(row.mode, ""))),
    _Column("", _METER, 2, _meter),
    _Column("In use", 13, 9, lambda row: Text(row.said, _STYLES.get(row.level, "")), "use"),
    _Column("", 4, 8, lambda row: Text(row.level if row.share is not None else "", _STYLES.get(row.level, ""))),
    _Column("Waiting", 8, 7, lambda row: _alarming(row.queued, "bold"), "waiting", right=True),
    _Column("Done/s", 7, 6, lambda row: Text(number(row.rate)), "done", right=True),
    _Column("Refused/s", 10, 5, lambda row: _alarming(row.refused, "red"), "refused", right=True),
)
_TASKS: Final = (
    _Column("Task", 26, 10, lambda row: Text(row.name, "bold")),
    _Column("Number", 6, 8, lambda row: Text(number(row.number)), right=True),
    _Column("New/s", 6, 5, lambda row: Text(number(row.new)), right=True),
    _Column("Oldest", 8, 9, lambda row: Text(seconds(row.age)), right=True),
    _Column("Waits on", 30, 7, lambda row: Text(row.waits_on or "nothing", "" if row.waits_on else "dim")),
    _Column("Made at", 0, 1, lambda row: Text(row.created, "dim")),
)
_BY: Final[Mapping[str, Callable[[Row], Any]]] = {
    "use": lambda row: (row.level in ("open", "half open"), -1.0 if row.share is None else row.share, row.queued or 0),
    "name": lambda row: row.name.lower(),
    "kind": lambda row: row.kind,
    "waiting": lambda row: row.queued or 0,
    "done": lambda row: row.rate or 0.0,
    "refused": lambda row: row.refused or 0.0,
}
_UPWARDS: Final = ("name", "kind")
_LEAST: Final = 16  # the width of what has the rest, for which other columns go


def fitted(
    now: Mapping[str, Any], before: Mapping[str, Any] | None, look: Look, width: int, height: int
) -> RenderableType:
    """Return what fits into a terminal; limits the first row and tells the page's size in the look."""
    head = _head(now)
    resources, tasks = _chosen(now, before, look)
    room = max(2, height - len(head) - 2)  # the line of state and that of keys
    for_tasks = room if look.view == "tasks" else 0
    if look.view == "all" and tasks:
        for_tasks = min(len(tasks) + 2, max(4, room // 3))
    for_resources = 0 if look.view == "tasks" else room - for_tasks
    scrolled = len(tasks) if look.view == "tasks" else len(resources)
    look.page = max(1, (for_tasks if look.view == "tasks" else for_resources) - 1)
    look.first = max(0, min(look.first, scrolled - look.page))
    parts: list[RenderableType] = [*head, _state(look, len(resources), len(tasks))]
    if for_resources > 1:
        parts.append(_table(_RESOURCES, resources[look.first : look.first + for_resources - 1], width, look))
    first, space = (look.first, 0) if look.view == "tasks" else (0, 1)
    if for_tasks > 1:
        parts += [Text()] * space
        parts.append(_table(_TASKS, tasks[first : first + for_tasks - 1 - space], width, look))
    used = len(head) + 1 + _lines(for_resources, len(resources)) + _lines(for_tasks, len(tasks) + space)
    parts += [Text()] * max(0, height - 1 - used)
    return Group(*parts, _keys(look))


def _lines(room: int, rows: int) -> int:
    return min(room, rows + 1) if room > 1 else 0


def everything(now: Mapping[str, Any], before: Mapping[str, Any] | None, look: Look, width: int) -> RenderableType:
    """Return all of it, one after the other."""
    resources, tasks = _chosen(now, before, look)
    parts: list[RenderableType] = [*_head(now, len(now["alerts"])), Text()]
    parts.append(_table(_RESOURCES, resources, width, look) if resources else Text("no resource fits"))
    if tasks:
        parts += [Text(), _table(_TASKS, tasks, width, look)]
    return Group(*parts)


def _chosen(now: Mapping[str, Any], before: Mapping[str, Any] | None, look: Look) -> tuple[list[Row], list[TaskRow]]:
    words = look.filter.lower().split()
    resources = [row for row in rows_of(now, before) if _has(words, row.name, row.kind, row.mode, row.said, row.level)]
    resources.sort(key=lambda row: (row.kind, row.name))
    resources.sort(key=_BY[look.sort], reverse=(look.sort not in _UPWARDS) != look.turned)
    return resources, [row for row in tasks_of(now, before) if _has(words, row.name, row.waits_on, row.created)]


def _has(words: list[str], *texts: str) -> bool:
    text = " ".join(texts).lower()
    return all(word in text for word in words)


def _table(columns: Sequence[_Column], rows: Sequence[Any], width: int, look: Look) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), pad_edge=False, header_style="cyan")
    kept = _that_fit(columns, width)
    rest = next((each for each in kept if not each.width), kept[0])
    for each in kept:
        title = each.title
        if each.sort and each.sort == look.sort:
            title += "\N{UPWARDS ARROW}" if (look.sort in _UPWARDS) != look.turned else "\N{DOWNWARDS ARROW}"
        table.add_column(
            Text(title),
            width=None if each is rest else each.width,
            ratio=1 if each is rest else None,
            justify="right" if each.right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(each.cell(row) for each in kept))
    return table


def _that_fit(columns: Sequence[_Column], width: int) -> list[_Column]:
    kept = list(columns)
    while len(kept) > 1 and sum((each.width or _LEAST) + 1 for each in kept) > width:
        kept.remove(min(kept, key=lambda each: each.weight))
    return kept


def _head(now: Mapping[str, Any], alerts: int = ALERTS) -> list[RenderableType]:
    process = now["process"]
    lag = max((max(loop["stalled"], loop["p99"]) for loop in now["loops"]), default=0.0)
    waiting = sum(each["values"].get("queued") or 0 for each in now["resources"])
    modes = Counter(now["capabilities"].values())
    lines = [
        Text.assemble(
            ("penstock top", "bold"),
            f"  process {process['pid']}, Python {printable(process['python'])}, "
            f"watched for {seconds(now['at'] - process['started'])}",
        ),
        Text(
            f"{number(waiting)} waiting, event-loop lag {seconds(lag)}, {now['threads']['alive']} threads, "
            f"capabilities: {', '.join(f'{count} {printable(mode)}' for mode, count in sorted(modes.items()))}"
        ),
    ]
    active = [each for each in now["alerts"] if each["state"] == "active"]
    lines += [_alert(each, now["at"]) for each in active[:alerts]]
    if len(active) > alerts:
        lines.append(Text(f"! and {len(active) - alerts} more alerts", "bold red"))
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return list(lines)


def _alert(alert: Mapping[str, Any], at: float) -> Text:
    more = f"  {alert['severity']} for {seconds(max(0.0, at - alert['since']))}, {alert['name']}"
    return Text.assemble((printable(f"! {alert['summary']}"), "bold red"), printable(more))


def _state(look: Look, resources: int, tasks: int) -> Text:
    if look.lost:
        told = Text(look.said, "bold red")
    elif look.paused:
        told = Text("Paused; p goes on", "bold yellow")
    else:
        whole, what = (tasks, "task name") if look.view == "tasks" else (resources, "resource")
        what = what if whole == 1 else f"{what}s"
        last = min(whole, look.first + look.page)
        told = Text(f"{look.first + 1} to {last} of {whole} {what}" if whole > look.page else f"{whole} {what}", "dim")
    if look.typing or look.filter:
        told = Text.assemble("Filter: ", (look.filter, "bold"), "_  " if look.typing else "  ", told)
    told.no_wrap, told.overflow = True, "ellipsis"
    return told


def _keys(look: Look) -> Text:
    if look.typing:
        keys = Text.assemble(("enter", "bold"), " keep  ", ("escape", "bold"), " all")
    else:
        keys = Text("  ").join(Text.assemble((key, "bold"), f" {does}" if does else "") for key, does in _KEYS)
    keys.no_wrap, keys.overflow = True, "ellipsis"
    return keys
