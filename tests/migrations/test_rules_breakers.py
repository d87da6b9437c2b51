"""Circuit breakers: found where a call goes past them, and told from tests, probes, options and audited switches."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations.rule import Finding, Severity


def findings(folder: Path, source: str) -> list[Finding]:
    """Audit a module for issue 7 and return what is no mere advice, in the order of the text."""
    (folder / "shape.py").write_text(textwrap.dedent(source), encoding="utf-8")
    found = audit([folder], Settings(select=("7",))).findings
    return [finding for finding in found if finding.severity is not Severity.LOW]


def codes(folder: Path, source: str) -> list[str]:
    """Audit a module for issue 7 and return the codes of what is no mere advice."""
    return [finding.code for finding in findings(folder, source)]


def client(body: str, attribute: str = "session", asks: str = "self.breaker.call(self.session.post, url)") -> str:
    """Write a client of which one method is guarded, and another method."""
    head = f"class Client:\n    def __init__(self, {attribute}, breaker):\n        self.{attribute} = {attribute}\n"
    send = f"        self.breaker = breaker\n\n    async def send(self, url):\n        return await {asks}\n\n"
    return head + send + textwrap.indent(textwrap.dedent(body), "    ")


FOUND = {
    "an argument": ("send(order, bypass_breaker=True)\n", ["PEN701"]),
    "an argument that turns it off": ("Client(use_circuit_breaker=False)\n", ["PEN701"]),
    "an argument of one word": ("fetch(url, circuit_breaker=False)\n", ["PEN701"]),
    "a breaker made disabled": ("breaker = CircuitBreaker(enabled=False)\n", ["PEN701"]),
    "a parameter handed on to the breaker": (
        "def send(order, bypass_breaker=False):\n    return breaker.call(post, order, bypass_breaker=bypass_breaker)\n",
        ["PEN701"],
    ),
    "a setting": ("USE_CIRCUIT_BREAKER = False\n", ["PEN701"]),
    "a setting of another object": ("def go(app):\n    app.settings.circuit_breaker_enabled = False\n", ["PEN701"]),
    "an entry": ("OPTIONS = {'disable_circuit_breaker': True}\n", ["PEN701"]),
    "the breaker's own switch": ("def go(breaker):\n    breaker.enabled = False\n", ["PEN701"]),
    "off for speed": (
        (
            "def make(circuit_breaker, fast_mode):\n    use_circuit_breaker = circuit_breaker and not fast_mode\n"
            "    return use_circuit_breaker\n"
        ),
        ["PEN701"],
    ),
    "the environment set in code": ("import os\nos.environ['DISABLE_CIRCUIT_BREAKER'] = '1'\n", ["PEN701"]),
    "a default of the environment": (
        "import os\nos.environ.setdefault('CIRCUIT_BREAKER_ENABLED', 'false')\n",
        ["PEN701"],
    ),
    "a call that disables": ("def go(breaker):\n    breaker.disable()\n", ["PEN701"]),
    "a caller's parameter": (
        (
            "def send(order, skip_breaker=False):\n    if skip_breaker:\n        return post(order)\n"
            "    return breaker.call(post, order)\n"
        ),
        ["PEN701"],
    ),
    "a parameter beside the breaker's answer": (
        (
            "def send(order, skip_circuit_breaker=False):\n    circuit = circuits.get(order.kind)\n"
            "    if not skip_circuit_breaker and not circuit.allow_request():\n        raise Open\n"
            "    return post(order)\n"
        ),
        ["PEN701"],
    ),
    "a parameter beside an answer that was asked for before": (
        (
            "async def send(order, ignore_circuit=False):\n    allowed = await breaker.allow_request()\n"
            "    if not ignore_circuit and not allowed:\n        raise Open\n    return await post(order)\n"
        ),
        ["PEN701"],
    ),
    "an attribute that means always closed": (
        (
            "def pick(self, queue):\n"
            "    if not self.owner._circuit_breaker_always_closed and not self.owner.breaker.can_execute(queue):\n"
            "        return None\n    return queue\n"
        ),
        ["PEN701"],
    ),
    "an environment variable": (
        (
            "import os\n\ndef send(order):\n    if os.getenv('DISABLE_BREAKER') == '1':\n        return post(order)\n"
            "    return breaker.call(post, order)\n"
        ),
        ["PEN701"],
    ),
    "a class named after the breaker it uses": (
        (
            "class RequestBreaker:\n    async def wrapped(self, order, skip_breaker=False):\n        if skip_breaker:\n"
            "            return await post(order)\n        return await self.breaker.call(post, order)\n"
        ),
        ["PEN701"],
    ),
    "a guarded function": (
        "def fetch(url): ...\n\nguarded = breaker(fetch)\n\ndef again(url):\n    return fetch(url)\n",
        ["PEN702"],
    ),
    "a function guarded by a lambda": (
        (
            "def fetch(url): ...\n\ndef one(url):\n    return breaker.call(lambda: fetch(url))\n\n"
            "def other(url):\n    return fetch(url)\n"
        ),
        ["PEN702"],
    ),
    "a function guarded by a helper": (
        (
            "class Client:\n    def one(self, url):\n        return self._run_with_circuit_breaker(self._fetch, url)\n"
            "    def other(self, url):\n        return self._fetch(url)\n"
        ),
        ["PEN702"],
    ),
    "the asynchronous twin": (
        (
            "class Agent:\n    def run_sync(self):\n        def work(): ...\n        return self.breaker.call(work)\n\n"
            "    async def run_async(self):\n        async def work(): ...\n        return await work()\n"
        ),
        ["PEN702"],
    ),
    "beneath a decorator": (
        (
            "from circuitbreaker import circuit\n\n@circuit\ndef quote(name): ...\n\n"
            "def all(names):\n    return [quote.__wrapped__(name) for name in names]\n"
        ),
        ["PEN702"],
    ),
    "unwrapped": (
        (
            "import inspect\nfrom circuitbreaker import circuit\n\n@circuit\ndef quote(name): ...\n\n"
            "def raw(name):\n    return inspect.unwrap(quote)(name)\n"
        ),
        ["PEN702"],
    ),
    "another request of the same client": (
        client("async def stream(self, url):\n    return await self.session.stream('POST', url)\n"),
        ["PEN702"],
    ),
    "another request of a client whose breaker is asked by hand": (
        (
            "class Client:\n    async def send(self, url):\n        if not self.breaker.allow_request():\n"
            "            raise Open\n        return await self._http.post(url)\n\n"
            "    async def download(self, url):\n        return await self._http.get(url)\n"
        ),
        ["PEN702"],
    ),
    "a threshold out of reach": ("breaker = CircuitBreaker(failure_threshold=999)\n", ["PEN703"]),
    "a threshold of ten to the": ("breaker = CircuitBreaker(fail_max=10**6)\n", ["PEN703"]),
    "no pause": ("breaker = CircuitBreaker(fail_max=5, reset_timeout=0)\n", ["PEN703"]),
    "no error counts": ("breaker = CircuitBreaker(fail_max=5, exclude=[Exception])\n", ["PEN703"]),
    "a state set before use": (
        "def send(order):\n    breaker.state = 'closed'\n    return breaker.call(post, order)\n",
        ["PEN703"],
    ),
    "closed before each call": (
        "def send(order):\n    breaker.close()\n    return breaker.call(post, order)\n",
        ["PEN703"],
    ),
    "closed because it was open": (
        (
            "def send(order):\n    try:\n        return breaker.call(post, order)\n"
            "    except CircuitBreakerError:\n        breaker.reset()\n        raise\n"
        ),
        ["PEN703"],
    ),
    "a coroutine function that pybreaker calls": (
        (
            "import pybreaker\n\nbreaker = pybreaker.CircuitBreaker()\n\nasync def fetch(url): ...\n\n"
            "async def go(url):\n    return await breaker.call(fetch, url)\n"
        ),
        ["PEN703"],
    ),
    "a coroutine function that pybreaker decorates": (
        "import pybreaker\n\nbreaker = pybreaker.CircuitBreaker()\n\n@breaker\nasync def fetch(url): ...\n",
        ["PEN703"],
    ),
    "a method of the class": ("CircuitBreaker.call = lambda self, f, *a: f(*a)\n", ["PEN704"]),
    "a function in a method's place": (
        "def straight(self, f, *a):\n    return f(*a)\n\nCircuitBreaker.call = straight\n",
        ["PEN704"],
    ),
    "a stand-in": ("def go(client):\n    client.breaker = NullBreaker()\n", ["PEN704"]),
    "a function that returns what it is given": (
        "def unguarded(f):\n    return f\n\ndef go(client):\n    client.circuit_breaker = unguarded\n",
        ["PEN704"],
    ),
    "a decorator for a missing library": (
        (
            "try:\n    from circuitbreaker import circuit\nexcept ImportError:\n    def circuit(*args, **kwargs):\n"
            "        def decorate(f):\n            return f\n        return decorate\n"
        ),
        ["PEN704"],
    ),
    "a class for a missing library": (
        (
            "try:\n    from pybreaker import CircuitBreaker\nexcept ImportError:\n    class CircuitBreaker:\n"
            "        def call(self, f, *args):\n            return f(*args)\n"
        ),
        ["PEN704"],
    ),
}
UNDER_LOAD = {
    "an argument": ("def test_load_send():\n    hammer(bypass_breaker=True)\n", "PEN701"),
    "an environment variable": (
        "def test_load_send(monkeypatch):\n    monkeypatch.setenv('DISABLE_CIRCUIT_BREAKER', '1')\n",
        "PEN701",
    ),
    "beneath a decorator": (
        (
            "from circuitbreaker import circuit\n\n@circuit\ndef quote(name): ...\n\n"
            "def benchmark_quotes(names):\n    for name in names:\n        quote.__wrapped__(name)\n"
        ),
        "PEN702",
    ),
    "a reset in each round": ("def bench_send(items):\n    for item in items:\n        breaker.reset()\n", "PEN703"),
    "monkeypatch": (
        "def test_load_send(monkeypatch):\n    monkeypatch.setattr(shop, 'breaker', NullBreaker())\n",
        "PEN704",
    ),
    "mock": (
        (
            "from unittest import mock\n\ndef bench_send():\n    with mock.patch('shop.circuit_breaker.call'):\n"
            "        hammer()\n"
        ),
        "PEN704",
    ),
    "a user of locust": (
        (
            "from locust import HttpUser, task\n\nclass Shopper(HttpUser):\n    @task\n    def browse(self):\n"
            "        shop_breaker.reset()\n"
        ),
        "PEN703",
    ),
}
LEFT = {
    "a unit test": "def test_sends(monkeypatch):\n    monkeypatch.setattr(mailer, 'breaker', NullBreaker())\n",
    "a test of the breaker under load": (
        "def test_breaker_load():\n    breaker = CircuitBreaker(fail_max=1, reset_timeout=0)\n    breaker.reset()\n"
    ),
    "a preset for tests": "def testing():\n    return Options(enable_circuit_breaker=False)\n",
    "a health probe": "def health_check():\n    return send('ping', bypass_breaker=True)\n",
    "an option that decides what is made": (
        "class Client:\n    def __init__(self, enable_circuit_breaker=True):\n"
        "        self.breaker = CircuitBreaker() if enable_circuit_breaker else None\n"
    ),
    "a base class told that the object has its own": (
        "class Kafka(Base):\n    def __init__(self):\n        super().__init__(enable_circuit_breaker=False)\n"
    ),
    "where another breaker is on": (
        "def make(self, strategy):\n    if self.redis and self.circuit_breaker.enabled:\n"
        "        return Processor(wrapped(strategy), enable_circuit_breaker=False)\n    return Processor(strategy)\n"
    ),
    "a state that is told": "def get_stats():\n    return {'circuit_breaker_enabled': False}\n",
    "a state of another's that is told": (
        "def advise():\n    return Advice(before_state={'circuit_breaker_enabled': False})\n"
    ),
    "a report of a breaker": "R = CircuitBreakerReport(failure_threshold=0, recovery_timeout=0.0, enabled=False)\n",
    "the switch itself": (
        "class Options:\n    def disable_circuit_breaker(self):\n"
        "        return self.copy(update={'enable_circuit_breaker': False})\n"
    ),
    "a kill switch that warns": (
        "def send(order, skip_breaker=False):\n    if skip_breaker:\n        log.warning('past the breaker')\n"
        "        return post(order)\n    return breaker.call(post, order)\n"
    ),
    "a list of methods that recovery needs": (
        "def post(self, method):\n    if method not in BREAKER_BYPASS_METHODS and not self.breaker.is_available:\n"
        "        raise Open\n    return self.http.post(method)\n"
    ),
    "a breaker's own code": (
        "class CircuitBreaker:\n    def call(self, f, bypass_breaker=False):\n        if not bypass_breaker:\n"
        "            self.before_call()\n        return f()\n"
    ),
    "another breaker": "def go(page):\n    page.line_breaker = None\n    page.use_line_breaker = False\n",
    "no breaker was configured": (
        "def send(order):\n    if breaker is None:\n        return post(order)\n    return breaker.call(post, order)\n"
    ),
    "a raw function that a guarded one replaces": (
        "class Client:\n    def run(self, url):\n        def target():\n            return self._fetch(url)\n"
        "        if self.breaker:\n            target = lambda: self.breaker.call(self._fetch, url)\n"
        "        return target()\n"
    ),
    "another function of the same name": (
        "class Agent:\n    def send(self):\n        def work(): ...\n        return self.breaker.call(work)\n\n"
        "    def count(self):\n        def work(): ...\n        return work()\n"
    ),
    "a method that subclasses write": (
        "from abc import abstractmethod\n\nclass Backend:\n    @abstractmethod\n    def incr(self, key): ...\n\n"
        "    def one(self, key):\n        return self._call_with_circuit_breaker(self.incr, key)\n\n"
        "    def other(self, key):\n        return self.incr(key)\n"
    ),
    "an outcome that is told by hand": (
        "def one(url):\n    return breaker.call(fetch, url)\n\ndef fetch(url): ...\n\n"
        "def other(url):\n    page = fetch(url)\n    breaker.record_success()\n    return page\n"
    ),
    "the login of a guarded client": client("async def login(self, url):\n    await self.session.post(url)\n"),
    "a part of a guarded request": client(
        "async def _key(self):\n    return await self.session.post('/key')\n",
        asks="self.breaker.call(self.session.post, url, await self._key())",
    ),
    "a collection that is no client": client(
        "async def find(self, name):\n    return self.sessions.get(name)\n",
        "sessions",
        "self.breaker.call(self.sessions.get('a').post, url, self.sessions.get(url))",
    ),
    "a reachable threshold": "breaker = CircuitBreaker(fail_max=5, reset_timeout=30, exclude=[ValueError])\n",
    "an operator's reset": "def reset_breaker(name):\n    breakers[name].reset()\n",
    "an operator's reset that is counted": (
        "def areset_breaker(self, host):\n    self.circuit_breaker.reset(host)\n"
        "    self.metrics.record_circuit_breaker_reset(host)\n"
    ),
    "a reset of each breaker": (
        "def handle(self, names):\n    for name in names:\n        breaker = registry.get_breaker(name)\n"
        "        run(breaker.reset())\n"
    ),
    "half-open, closed after a success": (
        "def send(order):\n    found = breaker.call(post, order)\n    if breaker.state == 'half-open':\n"
        "        breaker.close()\n    return found\n"
    ),
    "code that keeps the states": (
        "def record(self, ok):\n    self._circuit_breaker.state = 'closed' if ok else 'open'\n    if ok:\n"
        "        self._circuit_breaker.state = 'closed'\n    return self._circuit_breaker.call(ok)\n"
    ),
    "a coroutine function under a breaker of asyncio": (
        "import aiobreaker\n\nbreaker = aiobreaker.CircuitBreaker()\n\n@breaker\nasync def fetch(url): ...\n"
    ),
    "a plain function under pybreaker": (
        "import pybreaker\n\nbreaker = pybreaker.CircuitBreaker()\n\n@breaker\ndef fetch(url): ...\n"
    ),
    "a stand-in of which the log tells": (
        "try:\n    from circuitbreaker import circuit\nexcept ImportError:\n    log.warning('no breaker')\n"
        "    def circuit(f):\n        return f\n"
    ),
    "a stand-in that guards": (
        "try:\n    from circuitbreaker import circuit\nexcept ImportError:\n    def circuit(f):\n"
        "        return own_breaker(f)\n"
    ),
    "a real breaker": "def go(client):\n    client.breaker = CircuitBreaker(fail_max=4)\n",
    "an object's own attribute": "class Client:\n    def __init__(self):\n        self.breaker = NullBreaker()\n",
}


@pytest.mark.parametrize(("source", "expected"), FOUND.values(), ids=FOUND)
def test_finds(source: str, expected: list[str], tmp_path: Path):
    """Each way past a breaker is found once, by the rule whose matter it is."""
    assert codes(tmp_path, source) == expected


@pytest.mark.parametrize(("source", "code"), UNDER_LOAD.values(), ids=UNDER_LOAD)
def test_names_a_performance_test(source: str, code: str, tmp_path: Path):
    """What stands in a performance or load test is found there, and said to stand there."""
    (found,) = findings(tmp_path, source)

    assert (found.code, "in a performance test" in found.message) == (code, True)


@pytest.mark.parametrize("source", LEFT.values(), ids=LEFT)
def test_leaves_alone(source: str, tmp_path: Path):
    """Tests, probes, options, audited switches and a breaker's own code are not accused."""
    assert not codes(tmp_path, source)


def test_says_what_the_breaker_guards(tmp_path: Path):
    """Of a request past the breaker of its client, the message names the request that is guarded."""
    (found,) = findings(tmp_path, FOUND["another request of the same client"][0])

    assert "self.session.stream goes past the circuit breaker that guards self.session.post elsewhere" in found.message


def test_points_at_the_argument(tmp_path: Path):
    """In a call of many lines, the finding is at the argument that switches the breaker off."""
    (found,) = findings(tmp_path, "Client(\n    url,\n    retries=3,\n    use_breaker=False,\n)\n")

    assert found.line == 4


def test_takes_a_switch_that_is_on_by_default_for_advice(tmp_path: Path):
    """A setting of the object that is on by default may be turned off: that is advice."""
    source = """
        class Client:
            def __init__(self, use_breaker=True):
                self.use_breaker = use_breaker

            def send(self, order):
                if not self.use_breaker:
                    return post(order)
                return self.breaker.call(post, order)
        """

    assert not codes(tmp_path, source)
    (found,) = audit([tmp_path], Settings(select=("7",))).findings
    assert found.severity is Severity.LOW
