"""The command: `agents research`, `agents chat`, `agents ask` and `agents work`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from agents.chat.workflow import ChatWorkflow
from agents.provider import ProviderError
from agents.rag.workflow import RagDisabledError, RagWorkflow
from agents.research.documents import load_documents
from agents.research.workflow import ResearchWorkflow
from agents.settings import Settings
from agents.telemetry import telemetry
from agents.worker import Worker


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agents", description="Research, retrieval and chat agents.")
    parser.add_argument("--verbose", action="store_true", help="log what happens")
    commands = parser.add_subparsers(dest="command", required=True)
    research = commands.add_parser("research", help="research a question over a folder of documents")
    research.add_argument("question")
    research.add_argument("folder")
    chat = commands.add_parser("chat", help="say something")
    chat.add_argument("message")
    ask = commands.add_parser("ask", help="index a folder and answer from it")
    ask.add_argument("question")
    ask.add_argument("folder")
    commands.add_parser("work", help="do jobs from standard input, JSON lines in, JSON lines out")
    return parser.parse_args(arguments)


async def research(question: str, folder: str) -> str:
    report = await ResearchWorkflow().run(question, await load_documents(folder))
    return report.as_text()


async def ask(question: str, folder: str) -> str:
    workflow = RagWorkflow()
    await workflow.index(await load_documents(folder))
    return await workflow.answer(question)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.ERROR)
    telemetry.start(Settings())
    try:
        if options.command == "research":
            print(asyncio.run(research(options.question, options.folder)))
        elif options.command == "chat":
            print(asyncio.run(ChatWorkflow().reply(options.message)))
        elif options.command == "ask":
            print(asyncio.run(ask(options.question, options.folder)))
        else:
            asyncio.run(Worker().run())
    except (OSError, ProviderError, RagDisabledError) as error:
        print(f"agents: {error}", file=sys.stderr)
        return 1
    return 0
