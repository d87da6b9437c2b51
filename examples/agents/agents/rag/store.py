"""Chunks and their embeddings in Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

from agents.settings import Settings

SCHEMA = """
CREATE TABLE IF NOT EXISTS chunks (
    document text NOT NULL,
    position integer NOT NULL,
    body text NOT NULL,
    embedding {type} NOT NULL,
    PRIMARY KEY (document, position)
);
"""
# Without pgvector: slower, but right.
COSINE = """
    (SELECT 1 - sum(mine * theirs) / nullif(sqrt(sum(mine * mine)) * sqrt(sum(theirs * theirs)), 0)
     FROM unnest(embedding, $1::double precision[]) AS both_of_them(mine, theirs))
"""


@dataclass(frozen=True)
class Chunk:
    """A piece of a document."""

    document: str
    position: int
    body: str


class ChunkStore:
    """Reads and writes chunks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.has_pgvector = False

    async def connection(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.settings.rag_dsn)

    async def create(self) -> None:
        """Make the table, with pgvector where the server has it."""
        connection = await self.connection()
        try:
            available = "SELECT true FROM pg_available_extensions WHERE name = 'vector'"
            self.has_pgvector = bool(await connection.fetchval(available))
            if self.has_pgvector:
                await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            await connection.execute(SCHEMA.format(type="vector" if self.has_pgvector else "double precision[]"))
        finally:
            await connection.close()

    async def add(self, chunk: Chunk, embedding: list[float]) -> None:
        connection = await self.connection()
        try:
            await connection.execute(
                f"INSERT INTO chunks VALUES ($1, $2, $3, {self.cast(4)}) "
                f"ON CONFLICT (document, position) DO UPDATE SET body = $3, embedding = {self.cast(4)}",
                chunk.document,
                chunk.position,
                chunk.body,
                embedding,
            )
        finally:
            await connection.close()

    async def nearest(self, embedding: list[float], count: int = 5) -> list[Chunk]:
        distance = f"embedding <=> {self.cast(1)}" if self.has_pgvector else COSINE
        connection = await self.connection()
        try:
            rows = await connection.fetch(
                f"SELECT document, position, body FROM chunks ORDER BY {distance} LIMIT $2", embedding, count
            )
        finally:
            await connection.close()
        return [Chunk(row["document"], row["position"], row["body"]) for row in rows]

    def cast(self, parameter: int) -> str:
        """Numbers as the table has them; the driver knows arrays only."""
        return f"${parameter}::double precision[]{'::vector' if self.has_pgvector else ''}"

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
