"""Settings, all from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


def _flag(name: str) -> bool:
    return os.environ.get(name, "0").lower() in ("1", "true", "yes")


@dataclass(frozen=True)
class Settings:
    """Where the provider is and how patient we are."""

    provider_url: str = field(default_factory=lambda: os.environ.get("PROVIDER_URL", "http://127.0.0.1:8099/v1"))
    provider_key: str = field(default_factory=lambda: os.environ.get("PROVIDER_KEY", "local"), repr=False)
    model: str = field(default_factory=lambda: os.environ.get("PROVIDER_MODEL", "small-1"))
    retries: int = field(default_factory=lambda: int(os.environ.get("PROVIDER_RETRIES", "4")))
    backoff: float = field(default_factory=lambda: float(os.environ.get("PROVIDER_BACKOFF", "0.5")))
    max_questions: int = field(default_factory=lambda: int(os.environ.get("RESEARCH_QUESTIONS", "3")))
    deadline: float = field(default_factory=lambda: float(os.environ.get("RESEARCH_DEADLINE", "120")))
    rag_enabled: bool = field(default_factory=lambda: _flag("RAG_ENABLED"))
    rag_dsn: str = field(
        default_factory=lambda: os.environ.get("RAG_DSN", "postgresql://localhost:5432/rag"), repr=False
    )
    telemetry_file: str = field(default_factory=lambda: os.environ.get("TELEMETRY_FILE", ""))
