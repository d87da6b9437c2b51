"""What is made and must be closed: found where nobody closes it, left alone where somebody does."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._code.module import Module
from penstock_migrations.phase2_modernization.unclosed_client import detect
from penstock_migrations.rule import Options, Severity

HEAD = """
import asyncio, contextlib, csv, json, socket, sqlite3, tempfile
import aiohttp, httpx, redis, requests
from concurrent.futures import ThreadPoolExecutor
from sqlalchemy import create_engine
from http.client import HTTPConnection
"""


def findings(folder: Path, source: str):
    """Audit a module for issue 6."""
    (folder / "shape.py").write_text(HEAD + textwrap.dedent(source), encoding="utf-8")
    return audit([folder], Settings(select=("6",))).findings


def told(folder: Path, source: str) -> list[str]:
    """Return the codes, with `low` where a finding is advice."""
    found = findings(folder, source)
    return [f"{one.code} low" if one.severity is Severity.LOW else one.code for one in found]


FOUND = {
    "a client for other functions of the module": (
        (
            "async def get(s, u):\n    return await s.get(u)\n"
            "async def f(u):\n    s = aiohttp.ClientSession()\n    return await get(s, u)"
        ),
        ["PEN601"],
    ),
    "a second name": ("def f(u):\n    a = requests.Session()\n    b = a\n    return b.get(u)", ["PEN601"]),
    "an annotated name": ("def f(u):\n    s: object = requests.Session()\n    return s.get(u)", ["PEN601"]),
    "a condition the wrong way round": (
        (
            "class A:\n    def __init__(self, s=None):\n        self.s = s if s is None else requests.Session()\n"
            "    def close(self):\n        self.s.close()"
        ),
        ["PEN601"],
    ),
    "another class closes an attribute of the same name": (
        (
            "class A:\n    def __init__(self):\n        self.client = httpx.Client()\n"
            "class B:\n    def close(self):\n        self.client.close()"
        ),
        ["PEN601"],
    ),
    "a close method that does not close it": (
        (
            "class A:\n    def __init__(self):\n        self.c = httpx.Client()\n"
            "    def close(self):\n        self.c.get('/bye')\n        self.c = None"
        ),
        ["PEN601"],
    ),
    "an attribute of another object": (
        "def f(team):\n    team.pool = ThreadPoolExecutor()\n    return team.pool",
        ["PEN605"],
    ),
    "a client of another object": ("def f(app):\n    app.client = httpx.Client()", ["PEN601 low"]),
    "a container": (
        "class A:\n    def get(self, k):\n        self.clients[k] = httpx.Client()\n        return self.clients[k]",
        ["PEN601"],
    ),
    "a close that a failure skips": ("def f(p):\n    x = open(p)\n    g(x.read())\n    x.close()", ["PEN604 low"]),
    "a close after a failure only": (
        (
            "def f(u):\n    s = requests.Session()\n    try:\n        return s.get(u)\n"
            "    except OSError:\n        s.close()\n        raise"
        ),
        ["PEN601 low"],
    ),
    "a transaction": ("def f(p):\n    with sqlite3.connect(p) as c:\n        c.execute('x')", ["PEN601 low"]),
    "an engine": ("def f(u):\n    e = create_engine(u)\n    return e.connect()", ["PEN601 low"]),
    "the main function": ("def main():\n    s = requests.Session()\n    s.get('x')", ["PEN601 low"]),
    "the only object of a class": (
        "class A:\n    def __init__(self):\n        self.s = requests.Session()\nA_ = A()",
        ["PEN601 low"],
    ),
    "an upload's list": (
        (
            "def f(ps):\n    files = []\n    for p in ps:\n        files.append(('f', open(p)))\n"
            "    requests.post('u', files=files)"
        ),
        ["PEN604"],
    ),
    "a reader": ("def f(p):\n    rows = csv.reader(open(p))\n    return [r for r in rows]", ["PEN604"]),
    "a file's name": ("def f():\n    p = tempfile.NamedTemporaryFile(delete=False).name\n    return p", ["PEN604"]),
    "a file of the project's own reader": (
        "def read(f):\n    return json.load(f)\ndef f(p):\n    return read(open(p))",
        ["PEN604"],
    ),
    "a task bound to nothing": ("async def f():\n    _ = asyncio.create_task(g())", ["PEN603"]),
    "a task bound to a name that goes on": (
        "async def f():\n    t = asyncio.create_task(g())\n    await h()",
        ["PEN603 low"],
    ),
    "a task if asked": ("async def f(x):\n    asyncio.create_task(g()) if x else None", ["PEN603"]),
    "a task of asyncio imported from elsewhere": (
        "from patched import asyncio\nasync def f():\n    asyncio.create_task(g())",
        ["PEN603"],
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_finds_what_nobody_closes(tmp_path, name):
    """Each shape is reported once, as an accusation or as advice."""
    source, expected = FOUND[name]

    assert told(tmp_path, source) == expected


LEFT = {
    "a function that closes its argument": (
        "def use(s):\n    try:\n        s.get('u')\n    finally:\n        s.close()\n"
        "def f():\n    s = requests.Session()\n    use(s)"
    ),
    "a loop over names that closes them": (
        "def f(p, q):\n    a = b = None\n    try:\n        a = sqlite3.connect(p)\n        b = sqlite3.connect(q)\n"
        "        a.backup(b)\n    finally:\n        for c in (a, b):\n            c.close()"
    ),
    "a close by way of a dict": (
        "def f(p):\n    more = {}\n    more['file'] = open(p)\n    call(**more)\n    more['file'].close()"
    ),
    "a swap before the close": (
        "class A:\n    def open(self):\n        self.c = httpx.Client()\n"
        "    def stop(self):\n        c, self.c = self.c, None\n        c.close()"
    ),
    "a property that is closed": (
        "class A:\n    @property\n    def client(self):\n        self._c = httpx.Client()\n        return self._c\n"
        "    def end(self):\n        self.client.close()"
    ),
    "a close by a subclass": (
        "class A:\n    def __init__(self):\n        self.c = httpx.Client()\n"
        "class B(A):\n    def close(self):\n        self.c.close()"
    ),
    "values of a container that are closed": (
        "class A:\n    def get(self, k):\n        self.all[k] = httpx.Client()\n"
        "    def close(self):\n        for c in self.all.values():\n            c.close()"
    ),
    "a name spelt": (
        "class A:\n    def get(self):\n        self.c = httpx.Client()\n"
        "    def close(self):\n        c = getattr(self, 'c', None)\n        c.close()"
    ),
    "a global name": "C = None\ndef get():\n    global C\n    C = httpx.Client()\n    return C",
    "a choice in a with": (
        "def f(p, x):\n    with (open(p) if p else contextlib.nullcontext(x)) as g:\n        g.read()"
    ),
    "a shared transport": "T = httpx.HTTPTransport()\ndef f(u):\n    return httpx.Client(transport=T).get(u)",
    "a connector of another owner": (
        "def f(c):\n    s = aiohttp.ClientSession(connector=c, connector_owner=False)\n    return s.get('u')"
    ),
    "a pool of another owner": "class A:\n    def f(self, p):\n        self.r = redis.Redis(connection_pool=p)",
    "a form's field": "def f(form, p):\n    form.add_field('image', open(p, 'rb'))",
    "a method of its own called open": "class A:\n    def f(self):\n        return self.open('x').read()",
    "a function of its own called open": "def open(p):\n    return p\ndef f(p):\n    return open(p).read()",
    "a bound method handed out": "class A:\n    def f(self, p):\n        self.log = open(p, 'a').write",
    "a task group by another name": "async def f(tg):\n    tg.create_task(g())",
    "a function of its own called create_task": "def f():\n    create_task(g())",
    "a task that a nested function reads": (
        "async def f():\n    t = asyncio.create_task(g())\n    def stop():\n        t.cancel()\n    return stop"
    ),
    "an async generator that is left, of another module": "async def f():\n    async for x in g():\n        return x",
    "a break of an inner loop": (
        "async def g():\n    with h():\n        yield 1\n"
        "async def f():\n    async for x in g():\n        for y in x:\n            break"
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_leaves_what_somebody_closes(tmp_path, name):
    """None of these is reported, not even as advice."""
    assert told(tmp_path, LEFT[name]) == []


def test_takes_a_socket_of_a_base_class_for_advice(tmp_path):
    """`HTTPConnection.close` closes `self.sock`, which its subclass opened."""
    source = "class C(HTTPConnection):\n    def connect(self):\n        self.sock = socket.create_connection(('h', 1))"

    assert told(tmp_path, source) == ["PEN601 low"]


def test_knows_the_classes_that_a_project_lists():
    """`managed_classes` are followed as the known ones are."""
    source = "import vendor\n\ndef f():\n    client = vendor.Client()\n    return client.get()\n"
    module = Module(ast.parse(source), source)
    (found,) = detect(module, Options(managed_classes=("vendor.Client",)))

    assert found.message.startswith("vendor.Client is held by client and never closed")
    assert not list(detect(module, Options()))


def test_finds_listed_classes_in_a_file_without_any_other_word(tmp_path):
    """A listed class counts as a reason to look into a file, whatever it is called."""
    file = tmp_path / "run.py"
    file.write_text("import acme\n\ndef run():\n    gate = acme.Gate()\n    gate.swing()\n", encoding="utf-8")

    assert [one.code for one in audit([file], Settings(managed_classes=("acme.Gate",))).findings] == ["PEN601"]
    assert not audit([file], Settings()).findings


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class A:\n    def f(self):\n        self.c = httpx.Client()", "httpx.Client is held by self.c, which"),
        ("def f(p):\n    return open(p).read()", "open is made, used once and never closed; use a with statement"),
        ("async def f():\n    asyncio.create_task(g())", "nothing refers to the task of asyncio.create_task"),
    ],
)
def test_says_what_is_wrong_and_who_decides(tmp_path, source, expected):
    """Messages name the call and the holder; what is not rewritten says why."""
    (found,) = findings(tmp_path, source)

    assert found.message.startswith(expected)
    assert found.fix_reason or found.rewrites
