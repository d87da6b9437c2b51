"""The retrieval workflow: index documents once, answer questions from what is near them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from agents.provider import Provider
from agents.research.documents import Document, paragraphs
from agents.settings import Settings

if TYPE_CHECKING:
    from agents.rag.store import ChunkStore

logger = logging.getLogger(__name__)


class RagDisabledError(RuntimeError):
    """Retrieval was asked for, but it is switched off."""

    def __init__(self) -> None:
        super().__init__(
            "retrieval is switched off: it needs Postgres. "
            "Install agents[rag], set RAG_DSN, and switch it on with RAG_ENABLED=1."
        )


def open_store(settings: Settings) -> ChunkStore:
    if not settings.rag_enabled:
        raise RagDisabledError
    from agents.rag.store import ChunkStore

    return ChunkStore(settings)


class RagWorkflow:
    """Indexes documents and answers from them."""

    def __init__(
        self, provider: Provider | None = None, settings: Settings | None = None, store: ChunkStore | None = None
    ) -> None:
        self.settings = settings or Settings()
        self.store = store or open_store(self.settings)
        self.provider = provider or Provider(self.settings)

    async def index(self, documents: list[Document]) -> int:
        """Index all documents; returns the number of chunks."""
        await self.store.wait_until_ready()
        await self.store.create()
        counts = await asyncio.gather(*[self.index_document(document) for document in documents])
        return sum(counts)

    async def index_document(self, document: Document) -> int:
        pieces = paragraphs(document)
        embeddings = await self.provider.embed_all(pieces)
        writes = [
            asyncio.create_task(self.write(document, position, piece, embedding))
            for position, (piece, embedding) in enumerate(zip(pieces, embeddings))
            if embedding
        ]
        return len(await asyncio.gather(*writes))

    async def write(self, document: Document, position: int, piece: str, embedding: list[float]) -> None:
        from agents.rag.store import Chunk

        await self.store.add(Chunk(document.name, position, piece), embedding)

    async def answer(self, question: str) -> str:
        """Answer one question from the nearest chunks."""
        near = await self.store.nearest(await self.provider.embed(question))
        context = "\n\n".join(chunk.body for chunk in near)
        completion = await self.provider.complete(f"{context}\n\n{question}")
        return completion.text

    async def answer_all(self, questions: list[str]) -> dict[str, str]:
        """Answer many questions; one that fails has no answer."""
        pending = {question: self.answer(question) for question in questions}
        answers = await asyncio.gather(*pending.values(), return_exceptions=True)
        for question, answer in zip(pending, answers):
            if isinstance(answer, BaseException):
                logger.warning("no answer to %r: %s", question, answer)
        return {question: answer for question, answer in zip(pending, answers) if isinstance(answer, str)}
