"""A page in a real browser that a test talks to: sizes, light and dark, keys, pictures, and what it complains of."""

from __future__ import annotations

import asyncio
import base64
import itertools
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.browser import started

__all__ = ["Page", "opened"]

PATIENCE = 60.0  # seconds; against a hang, not a measure


class Page:
    """A page; its script runs, its clock goes.

    Attributes:
        complaints: What the browser's console was told of as an error, exceptions and violated policies among it.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []

    async def listen(self) -> None:
        """Take what the browser says, until it says no more."""
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._asked.pop(told["id"]).set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                details = told["params"]["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description", details["text"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.complaints.append(told["params"]["entry"]["text"])

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the browser's answer."""
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        answer = await asyncio.wait_for(self._asked[number], PATIENCE)
        assert "error" not in answer, answer
        return answer["result"]

    async def run(self, script: str) -> Any:
        """Return what an expression is in the page."""
        answer = await self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str) -> Any:
        """Return what an expression is in the page, once it is true."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not (value := await self.run(script)):
            assert asyncio.get_running_loop().time() < deadline, f"{script} did not come; complaints: {self.complaints}"
            await asyncio.sleep(0.02)
        return value

    async def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Give the page a size and a scheme."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.ask("Emulation.setEmulatedMedia", features=scheme)
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def press(self, key: str) -> None:
        """Press a key: a letter, or `Escape`, `Tab`, `Enter`."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Enter": 13, "Tab": 9, "Escape": 27}.get(key, 0)
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        for event in (down, {"type": "keyUp"}):
            await self.ask("Input.dispatchKeyEvent", key=key, code=key, windowsVirtualKeyCode=code, **event)

    async def picture(self) -> bytes:
        """Return what is to be seen, as PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def opened(address: str, profile: Path) -> AsyncIterator[Page]:
    """Open an address in a browser of its own, and close it."""
    browser = started(profile, "--remote-debugging-port=0", "about:blank")
    try:
        port = await _port(browser, profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                (target,) = [each for each in await answer.json() if each["type"] == "page"]
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                for domain in ("Page", "Runtime", "Log"):
                    await page.ask(f"{domain}.enable")
                await page.ask("Page.navigate", url=address)
                await page.until("document.readyState === 'complete'")
                yield page
                await socket.close()
                await listening
    finally:
        browser.terminate()
        await asyncio.to_thread(browser.wait)


async def _port(browser: subprocess.Popen[bytes], file: Path) -> str:
    async with asyncio.timeout(PATIENCE):
        while True:
            assert browser.poll() is None, "the browser has ended"
            if file.exists() and len(lines := file.read_text().splitlines()) > 1:
                return lines[0]
            await asyncio.sleep(0.02)
