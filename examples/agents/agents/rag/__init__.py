"""Retrieval over Postgres with pgvector; switched off unless RAG_ENABLED=1, as it needs a database."""
