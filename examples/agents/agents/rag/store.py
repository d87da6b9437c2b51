"""Chunks and their embeddings in Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

from agents.settings import Settings

SCHEMA = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS chunks (
    document text NOT NULL,
    position integer NOT NULL,
    body text NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (document, position)
);
"""


@dataclass(frozen=True)
class Chunk:
    """A piece of a document."""

    document: str
    position: int
    body: str


def as_vector(embedding: list[float]) -> str:
    return "[" + ",".join(f"{number:.6f}" for number in embedding) + "]"


class ChunkStore:
    """Reads and writes chunks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def connection(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.settings.rag_dsn)

    async def create(self) -> None:
        connection = await self.connection()
        try:
            await connection.execute(SCHEMA)
        finally:
            await connection.close()

    async def add(self, chunk: Chunk, embedding: list[float]) -> None:
        connection = await self.connection()
        try:
            await connection.execute(
                "INSERT INTO chunks VALUES ($1, $2, $3, $4::vector) "
                "ON CONFLICT (document, position) DO UPDATE SET body = $3, embedding = $4::vector",
                chunk.document,
                chunk.position,
                chunk.body,
                as_vector(embedding),
            )
        finally:
            await connection.close()

    async def nearest(self, embedding: list[float], count: int = 5) -> list[Chunk]:
        connection = await self.connection()
        try:
            rows = await connection.fetch(
                "SELECT document, position, body FROM chunks ORDER BY embedding <=> $1::vector LIMIT $2",
                as_vector(embedding),
                count,
            )
        finally:
            await connection.close()
        return [Chunk(row["document"], row["position"], row["body"]) for row in rows]

    async def wait_until_ready(self, attempts: int = 5) -> None:
        """The database container is slower than we are."""
        for attempt in range(attempts):
            try:
                connection = await self.connection()
            except (OSError, asyncpg.PostgresError):
                if attempt == attempts - 1:
                    raise
                await asyncio.sleep(2)
            else:
                await connection.close()
                return
