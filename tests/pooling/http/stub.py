"""A model provider on this machine: what each test wants of it, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

CHAT = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


class Provider:
    """Answers as OpenAI and Anthropic do.

    Attributes:
        url: Where it is.
        answers: Statuses and headers of the next answers; 200 when there are no more.
        more: Streams go on past their first part when it is set.
        seen: The requests so far.
        open: Requests under way, and `peak` the most there were.
        peers: The connections that requests came over.
    """

    def __init__(self) -> None:
        self.url = ""
        self.random = random.Random(1093)
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.more = asyncio.Event()
        self.arrived = asyncio.Event()
        self.seen: list[str] = []
        self.bodies: list[bytes] = []
        self.open = self.peak = 0
        self.peers: set[Any] = set()
        self.headers: dict[str, str] = {}
        self.cookies: list[str | None] = []
        self.queries: list[str] = []

    async def chat(self, request: Request) -> Response:
        body = json.loads(await self._begin(request))
        return self._answer(CHAT, chat_parts() if body.get("stream") else None)

    async def messages(self, request: Request) -> Response:
        body = json.loads(await self._begin(request))
        return self._answer(MESSAGE, message_parts() if body.get("stream") else None)

    async def wait(self, request: Request) -> Response:
        """Answer when `more` is set."""
        await self._begin(request)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            await self.more.wait()
        finally:
            self.open -= 1
        return JSONResponse({})

    async def plain(self, request: Request) -> Response:
        await self._begin(request)
        return self._answer({"headers": dict(request.headers)}, None)

    async def quick(self, request: Request) -> Response:
        """Answer after some milliseconds, other ones each time."""
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            await asyncio.sleep(self.random.random() * 0.01)
        finally:
            self.open -= 1
        return Response(b"x" * 10)

    async def parts(self, request: Request) -> Response:
        await self._begin(request)
        return self._answer({}, ["one", "two"])

    async def _begin(self, request: Request) -> bytes:
        self.peers.add(tuple(request.client or ()))
        self.seen.append(request.url.path)
        self.headers = dict(request.headers)
        self.cookies.append(request.headers.get("cookie"))
        self.queries.append(request.url.query)
        body = await request.body()
        self.bodies.append(body)
        self.arrived.set()
        return body

    def _answer(self, body: Any, parts: list[str] | None) -> Response:
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if status != 200:
            return JSONResponse({"error": {"message": "no", "type": "error"}}, status, headers)
        if parts is None:
            return JSONResponse(body, status, headers)
        return StreamingResponse(self._stream(parts), status, headers, "text/event-stream")

    async def _stream(self, parts: list[str]) -> AsyncIterator[str]:
        first, *others = parts
        yield first
        await self.more.wait()
        for part in others:
            yield part

    def app(self) -> Starlette:
        routes: list[tuple[str, Callable[..., Any]]] = [
            ("/v1/chat/completions", self.chat),
            ("/v1/messages", self.messages),
            ("/wait", self.wait),
            ("/plain", self.plain),
            ("/quick", self.quick),
            ("/parts", self.parts),
        ]
        return Starlette(routes=[Route(path, endpoint, methods=["GET", "POST"]) for path, endpoint in routes])


def chat_parts() -> list[str]:
    def part(delta: dict[str, str], reason: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = CHAT | {"object": "chat.completion.chunk", "choices": [choice]}
        return f"data: {json.dumps(chunk)}\n\n"

    return [part({"role": "assistant", "content": "hel"}, None), part({"content": "lo"}, "stop"), "data: [DONE]\n\n"]


def message_parts() -> list[str]:
    def part(kind: str, **fields: Any) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n"

    def text(piece: str) -> str:
        return part("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})

    start = part("message_start", message=MESSAGE | {"content": [], "stop_reason": None})
    block = part("content_block_start", index=0, content_block={"type": "text", "text": ""})
    end = part("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
    return [start + block + text("hel"), text("lo"), part("content_block_stop", index=0), end, part("message_stop")]


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application on a free port of this machine, in this loop; its URL."""
    config = uvicorn.Config(app, log_level="error", lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        # Not serve(), which takes over the process's signals, and looks ten times a second whether it is to end.
        await server.startup(sockets=[listener])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await _end(server)


async def _end(server: uvicorn.Server) -> None:
    """Cut all connections off, and let the application end."""
    for each in server.servers:
        each.close()
    for connection in [*server.server_state.connections]:
        connection.transport.abort()
    if tasks := [*server.server_state.tasks]:
        _, late = await asyncio.wait(tasks, timeout=1)
        for task in late:
            task.cancel()
