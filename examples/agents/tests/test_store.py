import asyncio
import os

import pytest

from agents.settings import Settings

pytest.importorskip("asyncpg", reason="needs agents[rag]")

from agents.rag.store import Chunk, ChunkStore


@pytest.fixture
def store():
    dsn = os.environ.get("RAG_TEST_DSN")
    if not dsn:
        pytest.skip("needs RAG_TEST_DSN, an empty Postgres database")
    return ChunkStore(Settings(rag_dsn=dsn))


@pytest.mark.parametrize("extension", [True, False])
def test_what_is_near_is_found_with_pgvector_and_without(store, extension):
    async def use():
        await drop(store)
        await store.wait_until_ready()
        if not extension:
            store.create = lambda: create_without(store)
        await store.create()
        for position, embedding in enumerate([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]):
            await store.add(Chunk("one", position, f"piece {position}"), embedding)
        await store.add(Chunk("one", 1, "piece one, again"), [0.6, 0.8])
        return await store.nearest([0.5, 0.8], count=2)

    assert [chunk.body for chunk in asyncio.run(use())] == ["piece one, again", "piece 2"]


def test_a_database_that_is_gone_is_an_error():
    with pytest.raises(OSError, match="Connect call failed"):
        asyncio.run(ChunkStore(Settings(rag_dsn="postgresql://127.0.0.1:1/chunks")).connection())


async def drop(store):
    connection = await store.connection()
    try:
        await connection.execute("DROP TABLE IF EXISTS chunks")
    finally:
        await connection.close()


async def create_without(store):
    from agents.rag.store import SCHEMA

    connection = await store.connection()
    try:
        await connection.execute(SCHEMA.format(type="double precision[]"))
    finally:
        await connection.close()
