"""Programs by which reviewers showed that a rule saw too little, or too much."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings

TOLD = {
    "the annotation of *args is that of each of them": (
        "PEN101",
        """
        import asyncio
        async def race(*pairs: tuple[str, int]):
            await asyncio.gather(*[find(p) for p in pairs])
        """,
    ),
    "a tuple that goes on": (
        "PEN101",
        """
        import asyncio
        async def go(urls: tuple[str, *tuple[str, ...]]):
            await asyncio.gather(*[f(u) for u in urls])
        """,
    ),
    "pages to the end": (
        "PEN101",
        """
        import asyncio
        async def go(c):
            items=[]
            while True:
                page = await c.get()
                items.extend(page['items'])
                if len(items) >= page['total']: break
            await asyncio.gather(*[f(i) for i in items])
        """,
    ),
    "a loop in which nothing grows": (
        "PEN101",
        """
        import asyncio
        async def go(c, ids):
            for chunk in c.history():
                if len(ids) > 3: break
            await asyncio.gather(*[f(i) for i in ids])
        """,
    ),
    "another collection after the loop": (
        "PEN101",
        """
        import asyncio
        async def go(c, wanted):
            users=[]
            for u in c:
                users.append(u)
                if len(users) >= wanted: break
            users = await c.all_users()
            await asyncio.gather(*[f(i) for i in users])
        """,
    ),
    "shields of coroutines": (
        "PEN101",
        """
        import asyncio
        async def go(urls):
            coros = [fetch(u) for u in urls]
            await asyncio.gather(*[asyncio.shield(c) for c in coros])
        """,
    ),
    "a kill in another block": (
        "PEN502",
        """
        import asyncio, os, signal, time
        async def go(cfg):
            if cfg.crash:
                os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.sleep(1)
            time.sleep(10)
        """,
    ),
    "a signal that ends nothing": (
        "PEN502",
        """
        import os, signal, time
        async def go():
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(10)
        """,
    ),
    "what runs before the function chooses its colour": (
        "PEN501",
        """
        import httpx
        class A:
            def go(self, c):
                token = httpx.get('http://x')
                if c:
                    async def opened():
                        return 1
                    return opened()
                return token
            async def use(self):
                made = self.go(True)
                return await made
        """,
    ),
}

NOT_TOLD = {
    "a wait that calls itself": (
        "PEN802",
        """
        import time
        def wait_for_job(c):
            try:
                return c.job()
            except ConnectionError:
                time.sleep(5)
                return wait_for_job(c)
        """,
    ),
    "a walk over a tree": (
        "PEN802",
        """
        import time
        class C:
            async def crawl(self, node):
                try:
                    return await node.get()
                except ConnectionError:
                    time.sleep(5)
                    return [await self.crawl(child) for child in node.mirrors]
        """,
    ),
    "a loop that is left at a limit": (
        "PEN101",
        """
        import asyncio
        async def go(c):
            items=[]
            async for u in c:
                items.append(u)
                if len(items) >= 50: break
            await asyncio.gather(*[f(i) for i in items])
        """,
    ),
}


def codes(folder: Path, source: str) -> set[str]:
    (folder / "module.py").write_text(textwrap.dedent(source))
    return {finding.code for finding in audit([folder], Settings()).findings}


@pytest.mark.parametrize(("code", "source"), TOLD.values(), ids=TOLD)
def test_a_defect_is_told(tmp_path: Path, code: str, source: str) -> None:
    """Whatever looks like an excuse for it."""
    assert code in codes(tmp_path, source)


@pytest.mark.parametrize(("code", "source"), NOT_TOLD.values(), ids=NOT_TOLD)
def test_what_is_right_is_left_alone(tmp_path: Path, code: str, source: str) -> None:
    """Whatever it looks like."""
    assert code not in codes(tmp_path, source)


def test_a_file_that_cannot_be_audited_still_tells_others(tmp_path: Path) -> None:
    """So what is asked across files depends on its content, too."""
    deep = "def g():\n    return " + "+".join(["a"] * 3000) + "\n"
    work = "import asyncio\nlimit = asyncio.Semaphore(3)\nasync def f(x):\n    {}" + deep
    caller = "import asyncio\nfrom work import f\nasync def run(xs):\n    await asyncio.gather(*[f(x) for x in xs])\n"
    (tmp_path / "caller.py").write_text(caller)
    (tmp_path / "work.py").write_text(work.format("async with limit:\n        pass\n"))
    audit([tmp_path], Settings())

    (tmp_path / "work.py").write_text(work.format("pass\n"))
    again = audit([tmp_path], Settings())

    fresh = tmp_path / "elsewhere"
    fresh.mkdir()
    for name in ("caller.py", "work.py"):
        (tmp_path / name).rename(fresh / name)
    assert len(again.findings) == len(audit([fresh], Settings()).findings)
