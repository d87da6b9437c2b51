"""A model provider on this machine: real HTTP, made-up answers."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ProviderStub(ThreadingHTTPServer):
    """Answers completions, embeddings, moderations and pages; refuses the first `refusals` requests with 429."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refusals = refusals
        self.requests: Counter[str] = Counter()
        self.prompts: list[str] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def refuse(self) -> bool:
        with self.lock:
            self.refusals -= 1
            return self.refusals >= 0

    def __enter__(self) -> ProviderStub:
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: ProviderStub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(200, f"page {self.path}")

    def do_HEAD(self) -> None:
        self.answer(200, f"page {self.path}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests[self.path] += 1
        if self.server.refuse():
            self.answer(429, {"error": "too many requests"})
        elif self.path == "/v1/chat/completions":
            prompt = body["messages"][-1]["content"]
            self.server.prompts.append(prompt)
            text = "\n".join(f"{number}. part {number} of {prompt[:30]!r}" for number in (1, 2, 3))
            self.answer(200, {"choices": [{"message": {"content": text}}], "usage": {"total_tokens": len(prompt)}})
        elif self.path == "/v1/embeddings":
            self.answer(200, {"data": [{"embedding": [float(len(body["input"])), 1.0]}]})
        elif self.path == "/v1/moderations":
            self.answer(200, {"results": [{"flagged": "bomb" in body["input"]}]})
        else:
            self.answer(404, {"error": f"no {self.path}"})

    def answer(self, status: int, content: object) -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
