"""The chat workflow: moderate, read the links of a message, answer, remember."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agents.chat.tools import fetch_pages, links, moderate
from agents.provider import Provider
from agents.settings import Settings

MAX_HISTORY = 20


class RefusedError(ValueError):
    """The moderation service refused a message."""


@dataclass
class Conversation:
    """What was said so far, oldest first."""

    turns: list[tuple[str, str]] = field(default_factory=list)

    def remember(self, question: str, answer: str) -> None:
        self.turns.append((question, answer))
        del self.turns[:-MAX_HISTORY]

    def as_prompt(self) -> str:
        return "\n".join(f"User: {question}\nAgent: {answer}" for question, answer in self.turns)


class ChatWorkflow:
    """Talks to one user."""

    def __init__(self, provider: Provider | None = None, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.provider = provider or Provider(self.settings)
        self.conversation = Conversation()

    async def reply(self, message: str) -> str:
        """Answer one message."""
        if not moderate(message, self.settings):
            raise RefusedError("this message is against our rules")
        pages = await fetch_pages(links(message))
        sources = await self.digest(pages)
        parts = [*sources, self.conversation.as_prompt(), f"User: {message}"]
        prompt = "\n\n".join(part for part in parts if part)
        answer = await self.provider.complete(prompt)
        self.conversation.remember(message, answer.text)
        return answer.text

    async def digest(self, pages: list[str]) -> list[str]:
        """Shorten long pages, a few at a time: the window of the small model is small."""
        digests: list[str] = []
        for start in range(0, len(pages), 4):
            batch = pages[start : start + 4]
            answers = await asyncio.gather(*[self.provider.complete(page[:4000]) for page in batch if page])
            digests.extend(answer.text for answer in answers)
        return digests


async def broadcast(message: str, sessions: list[ChatWorkflow]) -> list[str]:
    """Ask every open session the same; used when the knowledge base has changed."""
    replies = []
    for session in sessions:
        replies.append(asyncio.ensure_future(session.reply(message)))
    return list(await asyncio.gather(*replies))
