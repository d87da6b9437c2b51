import asyncio

import pytest

from agents.rag.workflow import RagDisabledError, RagWorkflow
from agents.research.documents import Document


def test_retrieval_is_switched_off_and_says_how_to_switch_it_on(settings):
    with pytest.raises(RagDisabledError, match="RAG_ENABLED=1"):
        RagWorkflow(settings=settings)


class Chunk:
    def __init__(self, body):
        self.body = body


class MemoryStore:
    """A store without a database."""

    async def nearest(self, embedding, count=5):
        return [Chunk(f"near {embedding[0]:.0f}")]


def test_every_question_is_answered_from_what_is_near(settings, stub):
    async def ask():
        return await RagWorkflow(settings=settings, store=MemoryStore()).answer_all(["Why?", "How so?"])

    assert list(asyncio.run(ask())) == ["Why?", "How so?"]
    assert sorted(stub.prompts) == ["near 4\n\nWhy?", "near 7\n\nHow so?"]


def test_documents_without_text_have_nothing_to_index(settings):
    async def index():
        return await RagWorkflow(settings=settings, store=MemoryStore()).index_document(Document("empty", ""))

    assert asyncio.run(index()) == 0
