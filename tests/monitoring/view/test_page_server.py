"""The page that a monitor serves: what it says, to whom, and how it begins and ends."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import logging
import math
import os
import socket
import stat
import threading
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from penstock_limits import ConfigurationError, Limiter
from penstock_limits.introspection import call_site
from penstock_monitoring import ConcurrencyMonitor, PageServer
from penstock_monitoring._view import http
from penstock_monitoring._view.pieces import Encoder

from tests.monitoring.helpers import Fake, Numbers, until
from tests.monitoring.test_secrets import SECRETS, work
from tests.monitoring.view.helpers import TaskNode, Tasks, get

TOKEN = "a-token-that-nobody-guesses"
SCHEMA = json.loads((files("penstock_monitoring") / "data" / "snapshot.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def page():
    """A page for this machine."""
    with ConcurrencyMonitor().serve() as page:
        yield page


@pytest.fixture
def guarded():
    """A page that asks for a token."""
    with ConcurrencyMonitor().serve(token=TOKEN) as page:
        yield page


# --- what it says


def test_the_page_and_all_that_it_names_are_served(page: PageServer) -> None:
    """And nothing from elsewhere: no address of another host is in any of it."""
    html = get(page).text

    for path, kind in {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg"}.items():
        answer = get(page, f"/{path}")
        assert path in html
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        assert [word for word in ("http://", "https://") if word in answer.text.replace("http://www.w3.org/", "")] == []


def test_a_snapshot_is_what_the_schema_says(page: PageServer) -> None:
    """With limits, tasks and where they were made."""
    kept = Limiter("api", max_running=3)
    with Tasks("tasks", "agents", Numbers()) as tasks:
        tasks.nodes = (TaskNode("ask", created=call_site(), waits_on="limiter 'api'", children=(TaskNode("part"),)),)
        answer = get(page, "/snapshot.json")

    jsonschema.validate(answer.json, SCHEMA)
    assert answer.headers["content-type"] == "application/json"
    assert {"kind": "limiter", "name": kept.name}.items() <= answer.json["resources"][0].items()
    (ask,) = answer.json["tasks"][0]["children"]
    assert ask["waits_on"] == "limiter 'api'"
    assert ask["created"].startswith("monitoring/view/test_page_server.py:")
    assert ask["created"].endswith(" in test_a_snapshot_is_what_the_schema_says")
    assert ask["children"][0]["name"] == "part"


async def test_pieces_together_are_the_whole() -> None:
    """The page's JSON, made piece by piece, is the snapshot's."""
    kept = Limiter("api", max_running=3)
    with Tasks("tasks", "agents", Numbers()) as tasks:
        tasks.nodes = (TaskNode("ask", math.nan),)
        async with ConcurrencyMonitor(interval=0.01, window=1) as monitor:
            await until(lambda: monitor.snapshot().process.samples > 5)
            snapshot = monitor.snapshot()

    assert json.loads(Encoder(lambda: snapshot).encode()) == json.loads(snapshot.to_json())
    assert kept.name in snapshot.to_json()


async def test_history_is_given_after_a_moment() -> None:
    """So that a page that has the rest need not be told again."""
    kept = Limiter("api", max_running=3)
    async with ConcurrencyMonitor(interval=0.01, window=1) as monitor:
        await until(lambda: monitor.snapshot().process.samples > 5)
        snapshot = monitor.snapshot()
    encoder = Encoder(lambda: snapshot)
    whole = json.loads(encoder.encode())["utilisation"][0]["points"]

    later = json.loads(encoder.encode(whole[2][0] + 0.001))["utilisation"][0]["points"]
    none = json.loads(encoder.encode(math.inf))["utilisation"][0]["points"]

    assert later == whole[3:]
    assert none == []
    assert kept.name == "api"


def test_a_moment_that_is_none_is_refused(page: PageServer) -> None:
    """The answer says what is one."""
    answer = get(page, "/snapshot.json?since=yesterday")

    assert answer.status == 400
    assert "Unix seconds" in answer.text


def test_viewers_that_ask_at_the_same_time_share_a_snapshot() -> None:
    """So that many of them cost little more than one."""
    monitor = ConcurrencyMonitor()
    taken = []
    encoder = Encoder(lambda: taken.append(1) or monitor.snapshot())

    both = [encoder.encode(), encoder.encode(0)]

    assert len(taken) == 1
    assert json.loads(both[0])["at"] == json.loads(both[1])["at"]


def test_metrics_are_served_for_prometheus(page: PageServer) -> None:
    """At the path that it asks for by default."""
    kept = Limiter("api", max_running=3)
    answer = get(page, "/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert f'penstock_limiter_limit{{name="{kept.name}"}} 3\n' in answer.text


def test_a_tree_that_cannot_be_read_hides_nothing_else(page: PageServer) -> None:
    """A manager may only tell its tasks in its own loop's thread."""
    with Tasks("tasks", "broken", Numbers()) as broken, Tasks("tasks", "whole", Numbers()):
        broken.error = RuntimeError("no running event loop")
        shown = get(page, "/snapshot.json").json

    assert [tree["name"] for tree in shown["tasks"]] == ["whole"]
    assert len(shown["resources"]) == 2


def test_head_is_answered_without_a_body(page: PageServer) -> None:
    """With the length that it would have."""
    answer = get(page, "/page.js", method="HEAD")

    assert answer.status == 200
    assert int(answer.headers["content-length"]) == len(get(page, "/page.js").body)
    assert answer.body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_it_only_shows(page: PageServer, method: str) -> None:
    """There is nothing to be changed, by whatever method."""
    answer = get(page, "/snapshot.json", method=method)

    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_what_is_not_there_says_what_is(page: PageServer) -> None:
    """Whoever has mistyped a path sees the right ones; there is no way to other files."""
    for path in ("/snapshot", "/../page_server.py", "/page/../../access.py", "//etc/passwd"):
        answer = get(page, path)
        assert answer.status == 404
        assert "/, /metrics, /snapshot.json" in answer.text


def test_a_request_that_is_no_http_is_refused_in_words(page: PageServer) -> None:
    """And with the same headers as all answers."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n")
        answer = client.makefile("rb").read().decode()

    assert answer.startswith("HTTP/1.1 505 ")
    assert "Content-Security-Policy: default-src 'none'" in answer
    assert "<" not in answer


@pytest.mark.parametrize("path", ["/", "/page.js", "/snapshot.json", "/nothing"])
def test_every_answer_has_strict_headers(page: PageServer, path: str) -> None:
    """No inline script, no other site may frame it, nothing is kept."""
    headers = get(page, path).headers

    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "Python" not in headers["server"]


async def test_nothing_secret_is_on_the_page(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in its answers nor in what it logs: a token in a query is not logged."""
    caplog.set_level(logging.DEBUG)
    secret = SECRETS[1]
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    kept = Limiter(f"for {secret}", max_running=1)
    with Tasks("tasks", "jobs", Numbers()) as tasks:
        tasks.nodes = (
            TaskNode("ask", waits_on=f"task {SECRETS[3]!r}", part_of=f"scope {SECRETS[3]!r}"),
            TaskNode(SECRETS[3]),
        )
        async with ConcurrencyMonitor(interval=0.01, window=1, page=0) as monitor:
            await work(monitor)
            (page,) = monitor._servers
            paths = [f"/snapshot.json?token={TOKEN}", "/metrics", "/"]
            answers = [(await asyncio.to_thread(get, page, path)).text for path in paths]

    log = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records if "penstock" in record.name)
    for text in (*answers, log):
        assert [each for each in (*SECRETS, TOKEN) if each in text] == []
    assert "page: GET /snapshot.json 200" in log
    assert 'waits_on":"task \'***\'"' in answers[0]
    assert kept.name


# --- to whom


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.0.0.1:8431", "LOCALHOST:80", "[::1]", "[::1]:8431"])
def test_names_of_this_machine_are_answered(page: PageServer, name: str) -> None:
    """With whatever port: a tunnel has another."""
    assert get(page, Host=name).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "evil.example:8431",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "[::1].x",
        "10.0.0.1",
    ],
)
def test_other_names_are_refused(page: PageServer, name: str) -> None:
    """A site that gives its name the address of this machine reads nothing."""
    answer = get(page, "/snapshot.json", Host=name)

    assert answer.status == 403
    assert "127.0.0.1 or localhost" in answer.text


def basic(password: str, user: str = "me") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("shown", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(TOKEN), basic(TOKEN, "")])
def test_whoever_has_the_token_may_look(guarded: PageServer, shown: str) -> None:
    """By any name: the page may be behind a proxy."""
    assert get(guarded, "/snapshot.json", Authorization=shown, Host="ops.example").status == 200


@pytest.mark.parametrize(
    "shown",
    ["", TOKEN, "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ä", basic("wrong"),
     basic(""), "Basic !!!", "Basic", f"Digest {TOKEN}", "Bearer " + "x" * 10_000],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/page.js", "/snapshot.json", "/metrics", "/nothing"])
def test_nobody_else_may(guarded: PageServer, shown: str, path: str) -> None:
    """Nor learns what is there; a browser asks its reader."""
    answer = get(
        guarded, path, **({"Authorization": shown.encode("latin-1", "replace").decode("latin-1")} if shown else {})
    )

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "PENSTOCK_TOKEN" in answer.text


def test_a_token_in_an_address_is_of_no_use(guarded: PageServer) -> None:
    """As addresses are logged."""
    assert get(guarded, f"/snapshot.json?token={TOKEN}").status == 401


def test_the_token_is_not_shown(guarded: PageServer) -> None:
    """In no repr."""
    assert TOKEN not in repr(guarded) + repr(vars(guarded))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_where_others_reach_it_a_token_is_needed(host: str) -> None:
    """The message says how to make one."""
    with pytest.raises(ConfigurationError, match=r"lets other machines look.*secrets\.token_urlsafe"):
        ConcurrencyMonitor().serve(host)


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "with spaces in the middle", "ümlauts-in-the-token"])
def test_a_token_that_is_easy_to_guess_is_refused(token: str) -> None:
    """And one that no header can hold; the message does not repeat it."""
    with pytest.raises(ConfigurationError, match="16 or more") as raised:
        ConcurrencyMonitor().serve(token=token)

    assert not token or token not in str(raised.value)


@pytest.mark.parametrize("host", ["example.org", "", "127.0.0.1:80", "http://127.0.0.1"])
def test_a_host_is_an_address(host: str) -> None:
    """Names are not looked up: that takes its time, in the event loop."""
    with pytest.raises(ConfigurationError, match="allowed are 'localhost' and addresses"):
        ConcurrencyMonitor().serve(host, token=TOKEN)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_is_one(port: int) -> None:
    """From 0 to 65535."""
    with pytest.raises(ConfigurationError, match="allowed are 1 to 65535"):
        ConcurrencyMonitor().serve(port=port)


def test_it_may_be_served_to_all_with_a_token() -> None:
    """Its address is then that of this machine."""
    with ConcurrencyMonitor().serve("0.0.0.0", token=TOKEN) as page:
        assert page.url == f"http://127.0.0.1:{page.port}/"
        assert get(page, Authorization=f"Bearer {TOKEN}").status == 200
        assert get(page).status == 401


def test_it_is_served_at_the_newer_address_too() -> None:
    """Where the machine has one."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with ConcurrencyMonitor().serve("::1") as page:
        assert page.url == f"http://[::1]:{page.port}/"
        assert get(page).status == 200


# --- how it begins and ends


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("penstock-page")}


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


async def test_it_ends_with_its_monitor() -> None:
    """When the last event loop leaves it; its threads with it."""
    async with ConcurrencyMonitor() as monitor:
        page = monitor.serve()
        assert (await asyncio.to_thread(get, page)).status == 200

    assert threads() == set()
    assert refused(page.port)
    assert "closed" in repr(page)


async def test_a_monitor_with_a_page_serves_it_while_it_is_entered() -> None:
    """Each time anew."""
    monitor = ConcurrencyMonitor(page=0)
    for _ in range(2):
        async with monitor:
            (page,) = monitor._servers
            assert (await asyncio.to_thread(get, page)).status == 200
        assert refused(page.port)


async def test_a_page_that_cannot_be_served_leaves_nothing_behind() -> None:
    """The monitor is not entered then."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monitor = ConcurrencyMonitor(page=taken.getsockname()[1])
        with pytest.raises(OSError, match="is in use; give another, or 0"):
            await monitor.__aenter__()

    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert threads() == set()


def test_a_page_may_be_closed_twice_and_from_several_threads() -> None:
    """All return when it is closed."""
    page = ConcurrencyMonitor().serve()
    closing = [threading.Thread(target=page.close) for _ in range(4)]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()
    page.close()

    assert threads() == set()


def test_connections_that_ask_for_nothing_hold_nobody_up(page: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser opens some ahead; there is a most of them, the oldest makes place, and closing waits for none."""
    monkeypatch.setattr(http._Handler, "timeout", None)  # none is closed because it is idle
    with contextlib.ExitStack() as stack:
        another = lambda: stack.enter_context(socket.create_connection(("127.0.0.1", page.port), timeout=30))  # noqa: E731
        silent = [another() for _ in range(http.MOST - 1)]
        assert get(page).status == 200
        while len(page._http._open) >= http.MOST:  # the one that was answered is being closed
            threading.Event().wait(0.001)
        silent.append(another())
        silent.append(another())
        with contextlib.suppress(ConnectionResetError):
            assert silent[0].recv(1) == b""
        page.close()

        assert threads() == set()
        for each in silent:
            with contextlib.suppress(ConnectionResetError):
                assert each.recv(1) == b""


def test_a_connection_is_kept_for_the_next_question(page: PageServer) -> None:
    """So that a poll costs no connection and no thread."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as client:
        answers = client.makefile("rb")
        for _ in range(3):
            client.sendall(b"HEAD /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while answers.readline() != b"\r\n":
                pass


def test_a_body_is_not_taken_for_the_next_request(page: PageServer) -> None:
    """What comes after a request with one is not answered."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as client:
        hidden = b"GET /snapshot.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = client.makefile("rb").read()

    assert answer.count(b"HTTP/1.1 200") <= 1


def test_an_answer_that_fails_is_told_without_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    """And the next one does not fail for it."""
    monitor = ConcurrencyMonitor()

    def fails() -> None:
        raise KeyError("a secret")

    monitor.snapshot = fails
    with monitor.serve() as page:
        with pytest.raises((ConnectionError, OSError, Exception)):
            get(page, "/snapshot.json")
        assert get(page).status == 200

    assert "the page cannot answer: KeyError" in caplog.text
    assert "a secret" not in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_lets_go_of_the_port(page: PageServer) -> None:
    """Otherwise whoever connects after the parent has closed it would wait for ever."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        page.close()
        os._exit(0 if page._http.socket.fileno() == -1 else 1)
    os.read(ready[0], 1)
    answered = get(page).status
    page.close()
    closed = refused(page.port)
    os.write(go[1], b"x")

    assert answered == 200
    assert closed
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for each in (*ready, *go):
        os.close(each)


def test_a_closed_page_keeps_nothing_alive() -> None:
    """Not its monitor, nor what that watches."""
    import weakref

    monitor = ConcurrencyMonitor()
    page = monitor.serve()
    get(page, "/snapshot.json")
    page.close()
    gone = weakref.ref(monitor)
    del monitor, page
    gc.collect()

    assert gone() is None


# --- where it says that it is


def test_a_process_says_where_its_page_is_while_it_is_there(page: PageServer, runtime_folder: Path) -> None:
    """To its own user only."""
    get(page)  # it says where it is before it answers
    (file,) = runtime_folder.glob("penstock*/*.json")
    said = json.loads(file.read_text())
    mode = stat.S_IMODE(file.parent.stat().st_mode)
    page.close()

    assert said == {"pid": os.getpid(), "url": page.url, "name": "penstock"}
    assert mode == 0o700
    assert not file.exists()


def test_a_folder_of_somebody_else_is_not_used(runtime_folder: Path) -> None:
    """In a shared place others may have made it first: the page is served, and said nowhere."""
    folder = runtime_folder / f"penstock-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)

    with ConcurrencyMonitor().serve() as page:
        assert get(page).status == 200
        assert list(folder.iterdir()) == []


def test_without_a_place_to_say_it_the_page_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that is full or read-only is no reason not to."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/null")

    with ConcurrencyMonitor().serve() as page:
        assert get(page).status == 200


def test_fakes_are_not_seen_when_they_are_gone(page: PageServer) -> None:
    """What is shown is what there is."""
    with Fake("pool", "gone", Numbers()):
        pass

    assert get(page, "/snapshot.json").json["resources"] == []


# --- those who mean ill, and hard times


def asked(page: PageServer, request: bytes) -> bytes:
    """Say to a page what no library would."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize(("host", "status"), [(b"localhost", b"400"), (b"elsewhere.example", b"403")])
def test_an_address_that_is_none_is_answered(
    page: PageServer, caplog: pytest.LogCaptureFixture, host: bytes, status: bytes
) -> None:
    """Nobody without access can fill the log by it."""
    answer = asked(page, b"GET http://[ HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")

    assert answer.split()[1] == status
    assert caplog.records == []


def test_those_who_say_nothing_keep_nobody_out(page: PageServer) -> None:
    """As many connections as there may be, each of which has begun a request and goes no further."""
    with contextlib.ExitStack() as stack:
        for _ in range(2 * http.MOST):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", page.port), timeout=30))
            slow.sendall(b"GET / HT")
        assert get(page, "/snapshot.json").status == 200


def test_an_error_within_is_no_fault_of_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    """What it says stays within: only the query's own mistakes are told."""
    monitor = ConcurrencyMonitor()
    monitor.snapshot = lambda: (_ for _ in ()).throw(ValueError(SECRETS[0]))  # type: ignore[method-assign]
    with monitor.serve() as page:
        answer = asked(page, b"GET /snapshot.json HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert answer == b""
    assert [record.message for record in caplog.records] == ["the page cannot answer: ValueError"]


def test_a_connection_that_cannot_be_taken_is_not_tried_without_a_rest(
    page: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For want of file descriptors; the event loop needs the processor more than ever."""
    tried, rests = [], []

    def refuse(*_: object) -> None:
        tried.append(1)
        raise OSError(24, "Too many open files")

    def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 3:
            monkeypatch.undo()

    monkeypatch.setattr(socket.socket, "accept", refuse)
    monkeypatch.setattr("penstock_monitoring._view.http.time.sleep", rest)
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert connection.recv(15).startswith(b"HTTP/1.1 200")

    assert (len(tried), len(rests)) == (3, 3)
