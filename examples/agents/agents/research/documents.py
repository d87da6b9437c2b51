"""Documents: text files in a folder."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = {".md", ".txt"}


@dataclass(frozen=True)
class Document:
    """One file's text."""

    name: str
    text: str


def read_document(path: Path) -> Document:
    return Document(path.name, path.read_text(encoding="utf-8", errors="replace"))


async def load_documents(folder: str | Path) -> list[Document]:
    """Read every text file of a folder, by name; the event loop goes on meanwhile."""
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix in SUFFIXES)
    executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="documents")
    loop = asyncio.get_event_loop()
    reads = [loop.run_in_executor(executor, read_document, path) for path in paths]
    return await asyncio.gather(*reads)


def paragraphs(document: Document, size: int = 800) -> list[str]:
    """Cut a document into pieces of about `size` characters, at blank lines."""
    pieces: list[str] = []
    for block in document.text.split("\n\n"):
        if pieces and len(pieces[-1]) + len(block) < size:
            pieces[-1] += "\n\n" + block
        elif block.strip():
            pieces.append(block)
    return pieces
