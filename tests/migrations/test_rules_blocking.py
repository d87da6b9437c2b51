"""What blocks an event loop, or holds a thread for HTTP: directly, through helpers, across files; and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations.rule import Severity

IMPORTS = "import asyncio, functools, os, subprocess, threading, time\nimport boto3, httpx, requests, urllib3\n"


def found(folder: Path, *sources: str, **options: object):
    """Audit a module of imports and some source, further ones as `m1`, `m2`; return the findings of issue 5."""
    for number, source in enumerate(sources):
        (folder / f"m{number}.py").write_text((IMPORTS if number == 0 else "") + source, encoding="utf-8")
    return audit([folder], Settings(select=("5",), **options)).findings


def codes(folder: Path, *sources: str, **options: object) -> list[str]:
    return [one.code for one in found(folder, *sources, **options)]


COROUTINES = {
    "requests by another name": ("import requests as r\nasync def f(u):\n    r.get(u)\n", "PEN501"),
    "a function imported by name": ("from requests import post\nasync def f(u):\n    post(u)\n", "PEN501"),
    "urlopen": ("from urllib import request\nasync def f(u):\n    request.urlopen(u)\n", "PEN501"),
    "a pool": ("pool = urllib3.PoolManager()\nasync def f(u):\n    pool.request('GET', u)\n", "PEN501"),
    "httpx itself": ("async def f(u):\n    httpx.get(u)\n", "PEN501"),
    "a connection": (
        (
            "from http.client import HTTPSConnection\nasync def f(h):\n    c = HTTPSConnection(h)\n"
            "    c.request('GET', '/')\n    c.getresponse()\n"
        ),
        "PEN501",
    ),
    "a class chosen before": (
        "async def f(u, s):\n    make = httpx.Client if s else httpx.AsyncClient\n    c = make()\n    c.get(u)\n",
        "PEN501",
    ),
    "an annotated parameter": ("async def f(s: 'requests.Session | None', u):\n    s.get(u)\n", "PEN501"),
    "a dataclass's field": (
        "class A:\n    s: requests.Session\n    async def f(self, u):\n        self.s.post(u)\n",
        "PEN501",
    ),
    "a property": (
        (
            "class A:\n    @property\n    def s(self):\n        return requests.Session()\n"
            "    async def f(self, u):\n        self.s.get(u)\n"
        ),
        "PEN501",
    ),
    "a base class's session": (
        (
            "class B:\n    def __init__(self):\n        self.s = requests.Session()\n"
            "class A(B):\n    async def f(self, u):\n        self.s.get(u)\n"
        ),
        "PEN501",
    ),
    "a session that a helper makes": (
        "def make():\n    return requests.Session()\nasync def f(u):\n    with make() as s:\n        s.get(u)\n",
        "PEN501",
    ),
    "a constructor": (
        "class A:\n    def __init__(self, u):\n        self.x = requests.get(u)\nasync def f(u):\n    A(u)\n",
        "PEN501",
    ),
    "a nested function": (
        "async def f(u):\n    def g():\n        return requests.get(u)\n    return g()\n",
        "PEN501",
    ),
    "a lambda that a builtin calls": (
        "async def f(us):\n    return list(map(lambda u: requests.get(u), us))\n",
        "PEN501",
    ),
    "inside an awaited call": ("async def f(u, g):\n    await g(requests.get(u))\n", "PEN501"),
    "threads that a helper waits for": (
        (
            "from concurrent.futures import ThreadPoolExecutor\ndef g(us):\n    with ThreadPoolExecutor() as pool:\n"
            "        return list(pool.map(requests.get, us))\nasync def f(us):\n    return g(us)\n"
        ),
        "PEN501",
    ),
    "boto": ("async def f():\n    boto3.client('s3').put_object(Key='x')\n", "PEN501"),
    "boto's session": ("async def f():\n    boto3.Session().client('s3').put_object(Key='x')\n", "PEN501"),
    "sleep": ("async def f():\n    time.sleep(1)\n", "PEN502"),
    "a shell": ("async def f():\n    os.system('true')\n", "PEN503"),
}
SHIPPED = {
    "a function of the module": (
        "def g(u):\n    return requests.get(u)\nasync def f(u):\n    await asyncio.to_thread(g, u)\n"
    ),
    "a session's method": "s = requests.Session()\nasync def f(u):\n    await asyncio.to_thread(s.get, u)\n",
    "a partial": "async def f(l, u):\n    await l.run_in_executor(None, functools.partial(requests.get, u))\n",
    "a partial with a name": (
        "async def f(l, u):\n    g = functools.partial(requests.get, u)\n    await l.run_in_executor(None, g)\n"
    ),
    "within a context": "async def f(l, ctx, u):\n    await l.run_in_executor(None, ctx.run, requests.get, u)\n",
    "by a helper that takes no executor": (
        "async def run_in_executor(g, *a):\n    return await asyncio.to_thread(g, *a)\n"
        "async def f(u):\n    await run_in_executor(requests.get, u)\n"
    ),
    "a thread": "async def f(u):\n    threading.Thread(target=requests.get, args=(u,)).start()\n",
    "an executor": "async def f(pool, u):\n    pool.submit(requests.get, u)\n",
    "a decorated function": (
        "from asgiref.sync import sync_to_async\n@sync_to_async\ndef g(u):\n    return requests.get(u)\n"
    ),
    "a loop in a synchronous function": "def f(l, u):\n    return l.run_in_executor(None, requests.get, u)\n",
    "plug-ins": (
        "".join(f"class P{n}:\n    def search(self, q):\n        return requests.get(q)\n" for n in range(3))
        + "async def f(plugin, q):\n    await asyncio.to_thread(plugin.search, q)\n"
    ),
}
LEFT_ALONE = {
    "an asynchronous session": (
        "async def f(u, s):\n    await s.get(u)\n    async with s.post(u) as r:\n        r.read()\n"
    ),
    "coroutines of an asynchronous client": (
        "async def f(us):\n    c = httpx.AsyncClient()\n    await asyncio.gather(*[c.get(u) for u in us])\n"
    ),
    "a client that may be either": (
        "async def f(u, s):\n    c = httpx.Client() if s else httpx.AsyncClient()\n    await c.get(u)\n"
    ),
    "another object's get": "async def f(cache, u):\n    cache.get(u)\n    {}.get(u)\n",
    "a local of the same name": "async def f(requests):\n    requests.get('x')\n",
    "no pause": "async def f():\n    time.sleep(0)\n",
    "a lambda that is kept": "async def f(bus, u):\n    bus.subscribe(lambda: requests.get(u))\n",
    "a helper's short pause": "def g():\n    time.sleep(0.001)\nasync def f():\n    g()\n",
    "a helper that ships": (
        "def g(u):\n    threading.Thread(target=requests.get, args=(u,)).start()\nasync def f(u):\n    g(u)\n"
    ),
    "a task of a queue": ("import app\n@app.task\ndef g(u):\n    requests.get(u)\nasync def f(u):\n    g(u)\n"),
    "what boto does by itself": "async def f():\n    boto3.client('s3').generate_presigned_url('get_object')\n",
    "a thread of a synchronous program": "def f(u):\n    threading.Thread(target=requests.get, args=(u,)).start()\n",
    "sleep in a thread": "def g():\n    time.sleep(1)\nasync def f():\n    await asyncio.to_thread(g)\n",
    "a double that is patched in": (
        "async def f(a):\n    def slow():\n        time.sleep(1)\n    a.close = slow\n    await a.run()\n"
    ),
    "threads that are talked about": "async def f(c):\n    await c.create_thread(requests.get)\n",
}


@pytest.mark.parametrize(("source", "code"), COROUTINES.values(), ids=COROUTINES)
def test_finds_what_blocks_a_coroutine(tmp_path, source, code):
    """One finding, whatever way the coroutine takes."""
    assert codes(tmp_path, source) == [code]


@pytest.mark.parametrize("source", SHIPPED.values(), ids=SHIPPED)
def test_finds_http_shipped_to_threads(tmp_path, source):
    """One finding, whatever ships it."""
    assert codes(tmp_path, source) == ["PEN504"]


@pytest.mark.parametrize("source", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_leaves_alone_what_blocks_no_loop(tmp_path, source):
    """What is asynchronous, runs elsewhere or later, or is no HTTP, is left alone."""
    assert not codes(tmp_path, source)


def test_shows_the_way_across_files(tmp_path):
    """The call in the coroutine is blamed once; the message names each function, file and line on the way."""
    (one,) = found(
        tmp_path,
        "import m1\n\nasync def load_all(us):\n    return [m1.Client().load(u) for u in us]\n",
        "from m2 import fetch\n\nclass Client:\n    def load(self, u):\n        return fetch(u)\n",
        "import requests\n\ndef fetch(u):\n    return requests.get(u)\n",
    )

    assert (one.code, one.path, one.line, one.function) == ("PEN501", "m0.py", 6, "load_all")
    assert "load_all -> Client.load (m1.py:5) -> fetch (m2.py:4) -> requests.get" in one.message


def test_knows_a_session_that_another_file_makes(tmp_path):
    """`session.get` is HTTP where a function of another file returned the session."""
    caller = "from m1 import make\nasync def f(u):\n    s = make()\n    return s.get(u)\n"

    assert codes(tmp_path, caller, "import requests\ndef make() -> requests.Session:\n    ...\n") == ["PEN501"]


def test_blames_a_call_once_for_http_and_sleep(tmp_path):
    """HTTP goes before the pauses between its attempts."""
    source = "def g(u):\n    time.sleep(1)\n    return requests.get(u)\nasync def f(u):\n    g(u)\n"

    assert codes(tmp_path, source) == ["PEN501"]


def test_takes_a_long_way_for_advice(tmp_path):
    """Five functions down, some condition may well rule it out."""
    chain = "".join(f"def g{n}(u):\n    return g{n + 1}(u)\n" for n in range(4))
    (one,) = found(tmp_path, f"def g4(u):\n    return requests.get(u)\n{chain}async def f(u):\n    g0(u)\n")

    assert one.severity is Severity.LOW


def test_survives_functions_that_call_each_other(tmp_path):
    """A circle ends nowhere, and what leaves it is found."""
    source = "def a(u):\n    b(u)\ndef b(u):\n    a(u)\n    requests.get(u)\nasync def f(u):\n    a(u)\n"

    assert codes(tmp_path, source) == ["PEN501"]


@pytest.mark.parametrize("call", ["vendor.fetch(u)", "vendor.Client().load(u)", "vendor.http.load(u)"])
def test_takes_the_calls_that_a_project_lists_for_http(tmp_path, call):
    """Functions, methods and modules of `blocking_calls`, in coroutines and in threads."""
    source = (
        f"import vendor\nasync def f(u):\n    {call}\nasync def g(u):\n    await asyncio.to_thread(lambda: {call})\n"
    )
    listed = ("vendor.fetch", "vendor.Client", "vendor.http")

    assert codes(tmp_path, source) == []
    assert codes(tmp_path, source, blocking_calls=listed) == ["PEN501", "PEN504"]


def test_takes_what_blocks_once_for_advice(tmp_path):
    """A helper without parameters, whose result is cached, blocks the first caller alone."""
    source = "@functools.lru_cache\ndef g():\n    return requests.get('u')\nasync def f():\n    g()\n"
    (one,) = found(tmp_path, source)

    assert one.severity is Severity.LOW


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("for x in g(u): pass", ["PEN501"]),
        ("list(g(u))", ["PEN501"]),
        ("parts = g(u)\n    return [x for x in parts]", ["PEN501"]),
        ("return Response(g(u))", []),
        ("parts = g(u)\n    return Response(parts)", []),
    ],
)
def test_a_generator_blocks_where_it_is_iterated(tmp_path, use, expected):
    """Calling it runs nothing; whoever it is handed to may iterate it in a thread."""
    source = f"def g(u):\n    yield requests.get(u)\nasync def f(u):\n    {use}\n"

    assert codes(tmp_path, source) == expected


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("functools.partial(g, u)()", ["PEN501"]),
        ("h = functools.partial(g, u)\n    return h()", ["PEN501"]),
        ("await asyncio.to_thread(functools.partial(g, u))", ["PEN504"]),
        ("return functools.partial(g, u)", []),
    ],
)
def test_a_partial_blocks_where_it_is_called(tmp_path, use, expected):
    """Binding arguments runs nothing."""
    source = f"def g(u):\n    return requests.get(u)\nasync def f(u):\n    {use}\n"

    assert codes(tmp_path, source) == expected


def test_follows_an_object_out_of_the_tuple_that_a_function_returns(tmp_path):
    """`args, store = set_up()` is how scripts make what their endpoints use."""
    source = (
        "class Store:\n    def load(self, u):\n        return requests.get(u)\n"
        "def set_up():\n    store = Store()\n    return 1, store\n"
        "number, store = set_up()\nasync def f(u):\n    store.load(u)\n"
    )

    assert codes(tmp_path, source) == ["PEN501"]


def test_finds_listed_calls_in_files_without_any_other_word(tmp_path):
    """A listed function counts as a reason to look into a file: here into those of three plug-ins."""
    for name in ("Maps", "News", "Stocks"):
        source = f"import acme\n\nclass {name}:\n    def look_up(self, u):\n        return acme.fetch(u)\n"
        (tmp_path / f"{name.lower()}.py").write_text(source, encoding="utf-8")
    source = "async def f(tool, u):\n    await asyncio.to_thread(tool.look_up, u)\n"

    assert codes(tmp_path, source, blocking_calls=("acme.fetch",)) == ["PEN504"]
    assert codes(tmp_path, source) == []
