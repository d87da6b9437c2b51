"""A model provider on this machine, for load: serves so many requests at once and answers 429 to the others.

Run as a process of its own: `python -m examples.demo.provider --limit 24`. It prints its URL and ends when its
standard input does. `GET /log` returns what it has seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
import zlib

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_DIMENSIONS = 8  # of an embedding


class Provider:
    """Answers completions, and remembers every request.

    Args:
        limit: How many requests it serves at once; the others are refused with 429.
        service: Seconds that an answer takes.
        refusal: Seconds that a refusal takes.
    """

    def __init__(self, limit: int, service: float, refusal: float) -> None:
        self.limit = limit
        self.service = service
        self.refusal = refusal
        self.open = 0
        self.serving = 0
        self.log: list[tuple[float, float, int, int, int]] = []

    async def complete(self, request: Request) -> Response:
        """Answer a chat completion, or refuse it."""
        body = await request.body()
        arrived = time.time()
        self.open += 1
        open_now = self.open
        try:
            status = await self._serve()
        finally:
            # Before the answer leaves: the next request of the same client must not find this one still open.
            self.open -= 1
        key = zlib.crc32(body)
        self.log.append((arrived, time.time(), status, open_now, key))
        if status != 200:
            return JSONResponse({"error": f"more than {self.limit} requests at once"}, status)
        lines = [f"{number}. part {number} of {key:08x}" for number in (1, 2, 3)]
        return JSONResponse(
            {"choices": [{"message": {"content": "\n".join(lines)}}], "usage": {"total_tokens": len(body) // 4}}
        )

    async def embed(self, request: Request) -> Response:
        """Answer with the embedding of a text; there is room for any number of these."""
        body = await request.body()
        embedding = [1.0 + (zlib.crc32(body, seed) % 1_000) / 1_000 for seed in range(_DIMENSIONS)]
        return JSONResponse({"data": [{"embedding": embedding}]})

    async def show_log(self, _: Request) -> Response:
        """Tell every finished request, in the order in which they ended."""
        fields = ("arrived", "left", "status", "open", "key")
        return JSONResponse([dict(zip(fields, each, strict=True)) for each in self.log])

    async def _serve(self) -> int:
        if self.serving >= self.limit:
            await asyncio.sleep(self.refusal)
            return 429
        self.serving += 1
        try:
            await asyncio.sleep(self.service)
        finally:
            self.serving -= 1
        return 200

    def app(self) -> Starlette:
        """Return it as an ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.complete, methods=["POST"]),
                Route("/v1/embeddings", self.embed, methods=["POST"]),
                Route("/log", self.show_log),
            ]
        )


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo.provider", description=__doc__)
    parser.add_argument("--limit", type=int, default=24, help="requests served at once (%(default)s)")
    parser.add_argument("--service", type=float, default=0.4, help="seconds that an answer takes (%(default)s)")
    parser.add_argument("--refusal", type=float, default=0.4, help="seconds until a refusal (%(default)s)")
    options = parser.parse_args()
    app = Provider(options.limit, options.service, options.refusal).app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
        server.run(sockets=[listener])


def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    """Whoever started this process may have been killed; its end of the pipe closes in any case."""
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
