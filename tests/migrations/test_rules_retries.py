"""Retries: found where they wait without chance or without end, and told from what only looks like them."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations.rule import Severity

HEAD = "import asyncio, random, time\nimport requests, tenacity\n"


def codes(folder: Path, source: str) -> list[str]:
    """Audit a module for issue 8 and return the codes of what is no mere advice, in the order of the text."""
    (folder / "shape.py").write_text(HEAD + textwrap.dedent(source), encoding="utf-8")
    found = audit([folder], Settings(select=("8",))).findings
    return [finding.code for finding in found if finding.severity is not Severity.LOW]


def loop(head: str, handler: str, body: str = "return client.get(url)", error: str = "ConnectionError") -> str:
    """Write a function with a loop of attempts."""
    parts = (
        f"def fetch(client, url, n=3, delay=1):\n    {head}:\n        try:\n",
        body,
        f"        except {error}:\n",
        handler,
    )
    return parts[0] + textwrap.indent(parts[1], " " * 12) + "\n" + parts[2] + textwrap.indent(parts[3], " " * 12) + "\n"


FOUND = {
    "a constant": (loop("for _ in range(3)", "time.sleep(5)"), ["PEN802"]),
    "a parameter": (loop("for attempt in range(n)", "time.sleep(delay)"), ["PEN802"]),
    "a square": (loop("for attempt in range(n)", "pause = attempt * attempt\ntime.sleep(pause)"), ["PEN802"]),
    "a table": ("DELAYS = (1, 2, 4)\n" + loop("for attempt in range(3)", "time.sleep(DELAYS[attempt])"), ["PEN802"]),
    "the delays are walked over": (loop("for delay in (1, 2, 4)", "time.sleep(delay)"), ["PEN802"]),
    "a sleep of the object's own": (loop("for attempt in range(3)", "client._sleep(2**attempt)"), ["PEN802"]),
    "it ends by a counter": (
        loop("while True", "attempts += 1\nif attempts > n:\n    raise\ntime.sleep(delay)"),
        ["PEN802"],
    ),
    "Retry-After, else a power": (
        loop(
            "for attempt in range(3)",
            "asked = client.headers.get('Retry-After')\ntime.sleep(float(asked) if asked else 2**attempt)",
        ),
        ["PEN802"],
    ),
    "a status": (
        (
            "def fetch(url):\n    for attempt in range(3):\n        found = requests.delete(url)\n"
            "        if found.status_code == 502:\n            time.sleep(2**attempt)\n            continue\n"
            "        return found\n"
        ),
        ["PEN802"],
    ),
    "no end": (loop("while True", "time.sleep(1)"), ["PEN804"]),
    "a wait in a variable": (
        "def policy(fallback=None):\n    fallback = tenacity.wait_exponential(max=60)\n    return fallback\n",
        ["PEN801"],
    ),
    "a chain of fixed waits": (
        "W = tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(5))\n",
        ["PEN801", "PEN801"],
    ),
    "requests' own name of urllib3": (
        "from requests.packages.urllib3.util.retry import Retry\nR = Retry(total=3, backoff_factor=1)\n",
        ["PEN801"],
    ),
    "requests.adapters' Retry": ("from requests.adapters import Retry\nR = Retry(3, backoff_factor=1)\n", ["PEN801"]),
    "celery without jitter": (
        ("from celery import shared_task\n@shared_task(retry_backoff=True, retry_jitter=False)\ndef f(): ...\n"),
        ["PEN801"],
    ),
}
LEFT = {
    "jitter in place": loop("for attempt in range(3)", "time.sleep(2**attempt + random.uniform(0, 1))"),
    "jitter above": loop(
        "for attempt in range(3)", "pause = 2**attempt\npause *= random.uniform(0.5, 1.5)\ntime.sleep(pause)"
    ),
    "jitter of an imported helper": "from vendor import with_jitter\n"
    + loop("for attempt in range(3)", "time.sleep(with_jitter(2**attempt))"),
    "an object computes the delay": loop("for attempt in range(3)", "time.sleep(client.policy.delay(attempt))"),
    "the policy sleeps": loop("for attempt in range(3)", "client.sleep(settings, client.transport)"),
    "only what the server asks for": loop(
        "for attempt in range(3)", "pause = float(client.headers['Retry-After'])\ntime.sleep(pause)"
    ),
    "a yield to others": loop("for attempt in range(3)", "time.sleep(0)"),
    "the last attempt": loop("for attempt in range(3)", "time.sleep(1)\nraise"),
    "an empty queue": loop("while True", "time.sleep(1)", "return client.queue.get_nowait()", "queue.Empty"),
    "pages": loop("for page in range(3)", "time.sleep(1)", "client.get(url, page)"),
    "a lock file": loop("for attempt in range(3)", "time.sleep(0.2)", "open('lock', 'x').close()\nreturn", "OSError"),
    "SQLite": loop("for attempt in range(3)", "time.sleep(0.2)", error="sqlite3.OperationalError"),
    "an interval of looks": loop("for attempt in range(9)", "time.sleep(POLL_INTERVAL)"),
    "a deadline": loop("while time.time() < n", "time.sleep(1)", "client.get(url + '/health')\nreturn"),
    "no retries of the file's own": "def main():\n    time.sleep(5)\n",
    "a state that has not come yet": (
        "@tenacity.retry(wait=tenacity.wait_fixed(1), retry=tenacity.retry_if_exception_type(NotFinishedError))\n"
        "def f(): ...\n"
    ),
    "assertions that come true": (
        "@tenacity.retry(wait=tenacity.wait_fixed(1), stop=tenacity.stop_after_attempt(3),"
        " retry=tenacity.retry_if_exception_type(AssertionError))\ndef f(): ...\n"
    ),
    "a named sum": "base = tenacity.wait_exponential(max=9)\nwait = base + tenacity.wait_random(0, 1)\n",
    "no wait in tests": "f.retry.wait = tenacity.wait_fixed(0)\n",
    "another Retry": "from vendor.retry import Retry\nR = Retry(backoff_factor=1)\n",
    "no backoff": "from urllib3 import Retry\nR = Retry(total=3, backoff_factor=0)\n",
    "a constant predicate": (
        "import backoff\n@backoff.on_predicate(backoff.constant, jitter=None, interval=1)\ndef f(): ...\n"
    ),
    "a method called retry": "def f(self):\n    self.retry(countdown=5)\n",
}


@pytest.mark.parametrize(("source", "expected"), FOUND.values(), ids=FOUND)
def test_finds(source: str, expected: list[str], tmp_path: Path):
    """Each pause without chance, and each retry without an end, is found once."""
    assert codes(tmp_path, source) == expected


@pytest.mark.parametrize("source", LEFT.values(), ids=LEFT)
def test_leaves_alone(source: str, tmp_path: Path):
    """Jitter, polling, throttles and local files are not accused."""
    assert not codes(tmp_path, source)


def test_says_that_retry_after_is_ignored(tmp_path: Path):
    """A pause after 429 that looks at no header says so beside its lack of jitter."""
    source = loop("for attempt in range(3)", "time.sleep(2**attempt)", error="RateLimitError")
    (tmp_path / "shape.py").write_text(HEAD + source, encoding="utf-8")
    (found,) = audit([tmp_path], Settings(select=("8",))).findings

    assert "heeds no Retry-After" in found.message
