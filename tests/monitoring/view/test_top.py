"""`penstock top`: rows from snapshots, what fits into a terminal, where it looks, and keys in a real terminal."""

from __future__ import annotations

import asyncio
import http.server
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from penstock_cli._main import penstock
from penstock_limits import CircuitBreaker, Limiter, Rate, RateLimiter
from penstock_monitoring import METRICS, ConcurrencyMonitor
from penstock_monitoring._view import rows
from penstock_monitoring._view.keys import Keys
from penstock_monitoring._view.look import SORTS, Look
from penstock_monitoring._view.rows import rows_of, tasks_of
from penstock_monitoring._view.screen import fitted
from penstock_monitoring._view.source import NotToBeSeenError, Source, find
from penstock_monitoring._view.top import Reader
from penstock_monitoring._view.words import number, seconds
from rich.console import Console

from tests.monitoring.helpers import LIMIT, Fake, Numbers, until
from tests.monitoring.view.helpers import TaskNode, Tasks, get

TOKEN = "a-token-that-nobody-guesses"
ESCAPE = "\x1b]0;owned\x07"


def alert_of(name: str, **more: Any) -> dict[str, Any]:
    """Return an alert as a snapshot has it, which began at 60 s."""
    return {"name": name, "severity": "warning", "state": "active", "since": 60.0, "summary": name, **more}


def snapshot(at: float = 100.0, *resources: tuple[str, str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return a snapshot of some resources."""
    whole = json.loads(ConcurrencyMonitor().snapshot().to_json())
    named = [{"kind": kind, "name": name, "mode": "enforce", "values": values} for kind, name, values in resources]
    return whole | {"at": at, "resources": named, "process": whole["process"] | {"started": 90.0}} | more


# --- rows


def test_every_field_that_counts_is_a_metric() -> None:
    """What is done and what is refused, by kind: the same table makes the page's columns."""
    fields = {(metric.kind, metric.field) for metric in METRICS}

    named = {(kind, name) for kind, each in rows._kinds().items() for name in (*each["done"], *each["refused"])}

    assert named - fields == set()


def test_a_rate_is_what_counters_grew_by() -> None:
    """Since the snapshot before; without one, or after a restart of a counter, there is none below 0."""
    before = snapshot(100, ("limiter", "a", {"acquired": 10, "rejected": 0}), ("limiter", "b", {"acquired": 50}))
    now = snapshot(
        102, ("limiter", "a", {"acquired": 40, "rejected": 3, "timed_out": 1}), ("limiter", "b", {"acquired": 1})
    )

    assert [(row.rate, row.refused) for row in rows_of(now, before)] == [(15.0, 2.0), (0.0, None)]
    assert [row.rate for row in rows_of(now, None)] == [None, None]
    assert [row.rate for row in rows_of(now, now)] == [None, None]


@pytest.mark.parametrize(("threshold", "level"), [(0.5, "near"), (0.51, "")])
def test_what_is_near_its_limit_is_the_monitors_threshold(threshold: float, level: str) -> None:
    """The configured one, or that which it was given."""
    with Fake("limiter", "half", Numbers(running=2, max_running=4)):
        now = json.loads(ConcurrencyMonitor(threshold=threshold).snapshot().to_json())

    assert [row.level for row in rows_of(now, None) if row.name == "half"] == [level]


def test_resources_of_one_name_are_told_apart() -> None:
    """By their order."""
    before = snapshot(100, ("limiter", "a", {"acquired": 0}), ("limiter", "a", {"acquired": 100}))
    now = snapshot(101, ("limiter", "a", {"acquired": 1}), ("limiter", "a", {"acquired": 102}))

    assert [row.rate for row in rows_of(now, before)] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("limiter", {"running": 1, "max_running": 4, "queued": 0}, (0.25, "1/4", "")),
        ("limiter", {"running": 4, "max_running": 5, "queued": 0}, (0.8, "4/5", "near")),
        ("limiter", {"running": 4, "max_running": 5, "queued": 1}, (0.8, "4/5", "full")),
        ("limiter", {"running": 5, "max_running": 5, "queued": 0}, (1.0, "5/5", "full")),
        ("limiter", {"running": 0, "max_running": 0, "queued": 0}, (0.0, "0/0", "")),
        ("limiter", {"running": 0, "max_running": 0, "queued": 2}, (1.0, "0/0", "full")),
        ("executor", {"running": 3, "max_running": None}, (None, "3", "")),
        ("breaker", {"state": "half_open"}, (None, "half open", "half open")),
        ("breaker", {"state": "closed"}, (None, "closed", "")),
        ("retry", {"calls": 3}, (None, "", "")),
        (
            "rate",
            {"dimensions.requests.amount": 10, "dimensions.requests.available": 9.0,
             "dimensions.tokens.amount": 100, "dimensions.tokens.available": -5.0},
            (1.0, "tokens 100%", "full"),
        ),
        ("rate", {"dimensions.requests.amount": 10, "dimensions.requests.available": None}, (None, "", "")),
    ],
)  # fmt: skip
def test_what_is_in_use(kind: str, values: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Of each kind in its own words, with what matters about it."""
    (row,) = rows_of(snapshot(100, (kind, "x", values)), None)

    assert (row.share, row.said, row.level) == expected


def test_tasks_of_one_name_and_place_are_one_row() -> None:
    """Those with a number for a name go by what they run."""
    leaf = {"name": "fetch", "age": 0.5, "waits_on": "lock", "created": "a.py:1", "children": []}
    old = leaf | {"age": 30.0, "waits_on": "limiter 'api'", "children": [leaf, leaf]}
    numbered = {"name": "Task-7", "function": "agents.run", "age": 2.0, "children": []}
    tree = [{"name": "manager", "children": [old, numbered]}]

    shown = tasks_of(snapshot(101, tasks=tree), snapshot(100))

    assert [(row.name, row.number, row.new, row.age, row.waits_on) for row in shown] == [
        ("fetch", 3, 2.0, 30.0, "lock and 1 more"),
        ("agents.run", 1, 0.0, 2.0, ""),
    ]


def test_sleeps_of_several_tasks_are_one_thing_to_wait_on() -> None:
    """However long each is; that of a single task is told."""
    nodes = [
        {"name": name, "age": 1.0, "waits_on": f"sleep of {at} s", "children": []} for at, name in enumerate("aab")
    ]

    shown = tasks_of(snapshot(101, tasks=[{"name": "manager", "children": nodes}]), None)

    assert {row.name: row.waits_on for row in shown} == {"a": "sleep", "b": "sleep of 2 s"}


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (0, "0"), (3.14159, "3.1"), (250.4, "250"), (12_345, "12.3k"), (2_500_000, "2.5M")]
)
def test_numbers_are_short(value: float | None, shown: str) -> None:
    """They fit into six characters."""
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0012, "1.2 ms"), (0.25, "250 ms"), (2.5, "2.5 s"), (42, "42 s"), (200, "3m 20s"), (7300, "2h 1m")],
)
def test_times_are_short(value: float, shown: str) -> None:
    """With two units at most."""
    assert seconds(value) == shown


# --- the screen


def drawn(now: dict[str, Any], look: Look, width: int = 120, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False, markup=False)
    console.print(fitted(now, None, look, width, height))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


MANY = [("limiter", f"limit-{each:03}", {"running": each, "max_running": 200, "queued": 0}) for each in range(100)]
TREE = [{"name": "m", "children": [{"name": f"t-{each}", "age": each, "children": []} for each in range(50)]}]


@pytest.mark.parametrize("view", ["all", "resources", "tasks"])
@pytest.mark.parametrize("height", [3, 6, 10, 24, 200])
@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
def test_it_fits_every_terminal(width: int, height: int, view: str) -> None:
    """No line is longer or more; the name and what is in use are always there."""
    lines = drawn(snapshot(100, *MANY, tasks=TREE), Look(view=view), width, height)

    assert all(len(line) <= width for line in lines)
    if height >= 10:
        assert len(lines) == height
        assert lines[-1].startswith("q quit")
        first = "t-49" if view == "tasks" else "limit-099"
        assert any(first in line for line in lines)


@pytest.mark.parametrize(
    ("sort", "turned", "first"),
    [("use", False, "b"), ("use", True, "a"), ("name", False, "a"), ("name", True, "c"), ("waiting", False, "c"),
     ("kind", False, "a")],
)  # fmt: skip
def test_it_sorts(sort: str, turned: bool, first: str) -> None:
    """By what matters at first, names upwards, numbers downwards."""
    resources = [
        ("limiter", "a", {"running": 0, "max_running": 4, "queued": 0}),
        ("limiter", "b", {"running": 4, "max_running": 4, "queued": 1}),
        ("pool", "c", {"running": 1, "max_running": 4, "queued": 9}),
    ]

    lines = drawn(snapshot(100, *resources), Look(sort=sort, turned=turned))

    assert lines[4].startswith(first)


def test_an_open_breaker_is_first() -> None:
    """Before what is full."""
    full = ("limiter", "full", {"running": 4, "max_running": 4, "queued": 1})

    assert drawn(snapshot(100, full, ("breaker", "service", {"state": "open"})), Look())[4].startswith("service")


def test_what_a_name_holds_cannot_move_the_cursor() -> None:
    """Nor set the terminal's title: every control character is replaced."""
    node = {"name": ESCAPE, "age": 1.0, "waits_on": ESCAPE, "created": ESCAPE, "children": []}
    alert = alert_of(ESCAPE, severity=ESCAPE, summary=ESCAPE)
    now = snapshot(100, (ESCAPE, ESCAPE, {"state": ESCAPE}), tasks=[{"children": [node]}], alerts=[alert])

    text = "\n".join(drawn(now, Look(), 200))

    assert "owned" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_alerts_are_told_first() -> None:
    """Three of them, and how many more there are."""
    alerts = [alert_of("Near", summary=f"r{each} is nearly full.") for each in range(5)]
    alerts.append(alert_of("Near", state="resolved"))

    lines = drawn(snapshot(100, *MANY, alerts=alerts), Look())

    assert lines[2].startswith("! r0 is nearly full.  warning for 40 s, Near")
    assert lines[5].startswith("! and 2 more alerts")


@pytest.mark.parametrize("sort", SORTS)
def test_the_column_that_sorts_is_marked(sort: str) -> None:
    """Whichever the command line allows."""
    heading = drawn(snapshot(100, ("limiter", "x", {"running": 1, "max_running": 4})), Look(sort=sort))[3]

    assert re.search(r"[\N{UPWARDS ARROW}\N{DOWNWARDS ARROW}]", heading)


# --- keys


def keys(*sent: bytes) -> Iterator[str]:
    waiting = list(sent)
    read = Keys(lambda _: waiting.pop(0) if waiting else b"").read
    while (key := read(0)) or waiting:
        yield key


def test_keys_are_told_apart() -> None:
    """Also those that come at once, and those that come in parts."""
    assert list(keys(b"q", b"\x1b[A\x1b[Bj", b"\x1b", b"\t/\xc3", b"\xa4\x7f")) == [
        "q", "up", "down", "j", "escape", "tab", "/", "ä", "backspace",
    ]  # fmt: skip


def test_a_terminal_that_has_gone_is_an_end() -> None:
    """And no endless loop."""
    with pytest.raises(EOFError):
        Keys(lambda _: None).read(0)


# --- where it looks


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """Serve one answer to everything, on a port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "is no live view: it answers with status 404"),
        (200, b"<html>", "is no live view"),
        (200, b"[1]", "is no live view"),
        (200, b"[" * 100_000, "is no live view"),
        (200, b"{}", "is no live view"),
        (200, b'{"version": 2, "resources": []}', "speaks version 2 of the format"),
        (302, b"", "status 302"),
        (500, b"", "status 500"),
    ],
)
def test_what_is_no_live_view_is_told(status: int, body: bytes, said: str) -> None:
    """With the address and what to do."""
    with answering(status, body) as port, pytest.raises(NotToBeSeenError, match=said):
        Source(f"http://127.0.0.1:{port}/").read()


def test_nothing_that_listens_is_told() -> None:
    """The message says how a process comes to serve its live view."""
    with answering(200, b"") as port:
        pass
    with pytest.raises(NotToBeSeenError, match=r"nothing listens at http://127\.0\.0\.1:\d+/; .*monitor\.serve\(\)"):
        Source(find(str(port))).read()


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://", "http://127.0.0.1:x/", "http://127.0.0.1:99999/", "nonsense://"]
)
def test_what_is_no_address_is_told(url: str) -> None:
    """And what one looks like."""
    with pytest.raises(NotToBeSeenError, match="is no address of a page"):
        Source(url)


def test_a_token_in_an_address_is_refused_and_not_repeated() -> None:
    """Others see the arguments of a command."""
    for url in (f"http://me:{TOKEN}@127.0.0.1/", f"ftp://me:{TOKEN}@127.0.0.1/"):
        with pytest.raises(NotToBeSeenError) as raised:
            Source(url)
        assert TOKEN not in str(raised.value)


def test_a_token_is_sent_and_its_lack_is_told() -> None:
    """By the name of the variable that holds it."""
    with ConcurrencyMonitor().serve(token=TOKEN) as page:
        assert Source(page.url, TOKEN).read()["version"] == 1
        with pytest.raises(NotToBeSeenError, match=r"asks for a token; .*PENSTOCK_TOKEN"):
            Source(page.url).read()
        with pytest.raises(NotToBeSeenError, match="does not take this token"):
            Source(page.url, TOKEN[:-1]).read()


def test_a_process_is_found_by_its_number_its_port_and_as_the_only_one(runtime_folder: Path) -> None:
    """One that has ended without saying so is forgotten."""
    with ConcurrencyMonitor().serve() as page:
        get(page)  # it says where it is before it answers
        (file,) = runtime_folder.glob("*/*.json")
        stale = file.with_name("1-1.json")
        stale.write_text(json.dumps({"pid": 1, "url": "http://127.0.0.1:1/", "name": "gone"}))
        (file.parent / "broken.json").write_text("{")

        assert find(None) == page.url
        assert find(str(os.getpid())) == page.url
        assert find(str(page.port)) == page.url
        assert find(f"127.0.0.1:{page.port}") == page.url
        assert not stale.exists()
        with ConcurrencyMonitor("second").serve() as other:
            get(other)
            with pytest.raises(NotToBeSeenError) as raised:
                find(None)
        assert "choose one:" in str(raised.value)
        assert f"(second, {other.url})" in str(raised.value)
    with pytest.raises(NotToBeSeenError, match="no process of yours serves a live view"):
        find(None)
    with pytest.raises(NotToBeSeenError, match="process 99999999 of yours serves no live view"):
        find("99999999")


# --- the command


def top(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(penstock, ["top", *arguments], env={"COLUMNS": "120", **environment})


def test_once_prints_everything() -> None:
    """And exits with 0 if no alert is active."""
    kept = [Limiter("api", max_running=4), CircuitBreaker("service"), RateLimiter("provider", requests=Rate(60))]
    with Tasks("tasks", "agents", Numbers()) as tasks, ConcurrencyMonitor().serve() as page:
        tasks.nodes = (TaskNode("ask", 65.0, "limiter 'api'"),)
        result = top(page.url, "--once", "--interval", "0.5")

    assert result.exit_code == 0
    for word in ("api", "0/4", "service", "closed", "provider", "requests 0%", "ask", "1m 5s", "limiter 'api'"):
        assert word in result.output
    assert "\x1b" not in result.output
    assert len(kept) == 3


async def test_once_exits_with_1_if_an_alert_is_active() -> None:
    """For scripts."""
    with Fake("pool", "main", Numbers(4, 4)):
        async with ConcurrencyMonitor(interval=0.01, window=1) as monitor:
            monitor.alert_resource_exhaustion("main", 0.9)
            await until(lambda: monitor.snapshot().alerts)
            result = await asyncio.to_thread(top, monitor.serve().url, "--once", "--interval", "0.5")

    assert result.exit_code == 1
    assert "PenstockResourceExhausted" in result.output


def test_once_filters_and_says_if_nothing_is_left() -> None:
    """By all the words that it is given."""
    kept = [Limiter("api", max_running=4), Limiter("other", max_running=4)]
    with ConcurrencyMonitor().serve() as page:
        some = top(page.url, "--once", "--interval", "0.5", "--filter", "ap limiter")
        none = top(page.url, "--once", "--interval", "0.5", "--filter", "nothing")

    assert "api" in some.output
    assert "other" not in some.output
    assert "no resource fits" in none.output
    assert len(kept) == 2


def test_where_nothing_is_to_be_seen_it_exits_with_2(tmp_path: Path) -> None:
    """1 would say that an alert is active."""
    with answering(404, b"") as port:
        assert (result := top(str(port), "--once")).exit_code == 2
    assert "is no live view" in result.output
    assert top("--once").exit_code == 2
    assert top("--once", "--token-file", str(tmp_path / "none")).exit_code == 2


def test_a_token_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """Never from an argument."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with ConcurrencyMonitor().serve(token=TOKEN) as page:
        assert top(page.url, "--once", PENSTOCK_TOKEN=TOKEN).exit_code == 0
        assert top(page.url, "--once", "--token-file", str(tmp_path / "token")).exit_code == 0
        assert top(page.url, "--once").exit_code == 2


def test_without_a_terminal_it_says_what_to_do() -> None:
    """It cannot read keys there."""
    with ConcurrencyMonitor().serve() as page:
        result = top(page.url)

    assert result.exit_code == 2
    assert "use --once" in result.output


def test_a_lost_connection_is_told_until_it_is_back() -> None:
    """What was seen last stays; another process on the port is not taken for the same."""
    kept = Limiter("api", max_running=4)
    with ConcurrencyMonitor().serve() as page:
        reader = Reader(Source(page.url), 0.01)
    reader._read()
    lost, seen = reader.lost, reader.now
    with ConcurrencyMonitor().serve(port=page.port):
        reader._read()

    assert re.fullmatch(r"No answer since \d\d:\d\d:\d\d, trying again: nothing listens at http://\S+", lost)
    assert seen["resources"]
    assert reader.lost == ""
    assert reader.before is None
    assert kept.name


# --- in a real terminal

TMUX = shutil.which("tmux")
needs_tmux = pytest.mark.skipif(TMUX is None, reason="needs tmux, for a terminal")


class Terminal:
    """A terminal with `penstock top` in it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._socket = str(folder / "tmux")
        program = [sys.executable, "-m", "penstock_cli", "top", "--interval", "0.5", *arguments]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "24", "bash", "--norc")
        self._tmux("set-option", "-g", "default-terminal", "screen-256color")
        self.type("PS1='ready$ '", "Enter")
        self.type(" ".join(program), "Enter")

    def _tmux(self, *arguments: str) -> str:
        command = [str(TMUX), "-S", self._socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT).stdout

    def type(self, *pressed: str) -> None:
        self._tmux("send-keys", *pressed)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    async def shows(self, *words: str, without: str = "\0") -> str:
        screen = ""

        def is_so() -> bool:
            nonlocal screen
            screen = self.screen()
            return all(word in screen for word in words) and without not in screen

        try:
            await until(is_so)
        except AssertionError:
            pytest.fail(f"{words} without {without!r} did not come:\n{screen}")
        return screen

    def end(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Any]:
    """Return a function that opens a terminal, closed at the end."""
    opened: list[Terminal] = []

    def open_(*arguments: str) -> Terminal:
        opened.append(Terminal(tmp_path, *arguments))
        return opened[-1]

    yield open_
    for each in opened:
        each.end()


@pytest.mark.slow
@needs_tmux
async def test_somebody_at_a_terminal_looks_round(terminal: Any) -> None:
    """Filters, sorts, scrolls, pauses, looks at the tasks, makes it narrow, and quits to a terminal as it was."""
    kept = [Limiter(f"limit-{each:02}", max_running=4) for each in range(40)]
    with Tasks("tasks", "agents", Numbers()) as tasks:
        tasks.nodes = (TaskNode("ask", 65.0, "limiter 'api'", children=(TaskNode("part"),)),)
        async with ConcurrencyMonitor() as monitor:
            shown = terminal(monitor.serve().url)
            await shown.shows("penstock top", "1 to ", "of 41 resources", "limit-00", "ask", "q quit")
            shown.type("s")
            await shown.shows("Name↑")
            shown.type("End")
            await shown.shows("limit-39", without="limit-00")
            shown.type("/", "limit-07", "Enter")
            await shown.shows("Filter: limit-07", "limit-07", without="limit-08")
            kept[7].acquire_nowait()
            await shown.shows("1/4")
            shown.type("p")
            await shown.shows("Paused")
            shown.type("Escape", "Tab", "Tab")
            await shown.shows("ask", "limiter 'api'", "1m 5s", without="limit-07")
            shown.type("p", "Tab")
            shown.resize(50, 12)
            narrow = await shown.shows("limit-07", "1/4", without="Refused/s")
            shown.type("q")
            await shown.shows("ready$", without="penstock top  ")
            shown.type("stty -a | grep -o ' icanon'", "Enter")
            await shown.shows("\n icanon")

    assert all(len(line) <= 50 for line in narrow.splitlines())


@pytest.mark.slow
@needs_tmux
async def test_a_terminal_is_told_of_a_lost_connection_and_left_as_it_was(terminal: Any) -> None:
    """It goes on trying, until it is ended by a signal."""
    kept = Limiter("api", max_running=4)
    async with ConcurrencyMonitor() as monitor:
        page = monitor.serve()
        shown = terminal(page.url)
        await shown.shows("api", "0/4")
        await asyncio.to_thread(page.close)
        await shown.shows("No answer since", "trying again", "api")
        monitor.serve(port=page.port)
        await shown.shows("api", without="No answer")
        pid = int(
            subprocess.run(
                ["pgrep", "-f", f"penstock_cli top .*{page.url}"], capture_output=True, text=True
            ).stdout.split()[-1]
        )
        os.kill(pid, signal.SIGTERM)
        await shown.shows("ready$", without="penstock top  ")
        shown.type("echo status $?", "Enter")
        await shown.shows("status 143")

    assert kept.name


@pytest.mark.slow
@needs_tmux
async def test_a_terminal_where_nothing_listens_says_so_at_once(terminal: Any) -> None:
    """The address is wrong, more likely than not: it exits."""
    with answering(200, b"") as port:
        pass
    shown = terminal(str(port))
    await shown.shows("nothing listens at", "ready$")
    shown.type("echo status $?", "Enter")
    await shown.shows("status 2")
