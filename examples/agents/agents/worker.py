"""The worker: takes jobs as JSON lines and answers each with a JSON line, in order."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from typing import TextIO

from agents.chat.workflow import ChatWorkflow
from agents.rag.workflow import RagWorkflow
from agents.research.documents import load_documents
from agents.research.workflow import ResearchWorkflow, compare
from agents.settings import Settings
from agents.shared.concurrency.manager import ConcurrencyMetrics


class Worker:
    """Does one job after another; a job is {"id", "workflow", ...}."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.research = ResearchWorkflow(settings=self.settings)
        self.chats: dict[str, ChatWorkflow] = {}
        self.rag: RagWorkflow | None = None

    async def run(self, jobs: TextIO = sys.stdin, results: TextIO = sys.stdout) -> None:
        """Work until there are no more jobs."""
        loop = asyncio.get_event_loop()
        while line := await loop.run_in_executor(None, jobs.readline):
            if line.strip():
                print(json.dumps(await self.do(line)), file=results, flush=True)

    async def do(self, line: str) -> dict:
        """Do one job; a job that fails is answered with its error."""
        job: dict = {}
        try:
            job = json.loads(line)
            return {"id": job["id"], **await self._do(job)}
        except Exception as error:
            return {"id": job.get("id") if isinstance(job, dict) else None, "error": f"{type(error).__name__}: {error}"}

    async def _do(self, job: dict) -> dict:
        if job["workflow"] == "research":
            report = await self.research.run(job["question"], await load_documents(job["folder"]))
            return report.as_dict()
        if job["workflow"] == "compare":
            reports = await compare(self.research, job["questions"], await load_documents(job["folder"]))
            return {"summaries": {question: report.summary for question, report in reports.items()}}
        if job["workflow"] == "chat":
            chat = self.chats.setdefault(job["user"], ChatWorkflow(self.research.provider, self.settings))
            return {"answer": await chat.reply(job["message"])}
        if job["workflow"] == "ask":
            self.rag = self.rag or RagWorkflow(self.research.provider, self.settings)
            chunks = await self.rag.index(await load_documents(job["folder"]))
            return {"chunks": chunks, "answers": await self.rag.answer_all(job["questions"])}
        if job["workflow"] == "status":
            limiters = ConcurrencyMetrics().snapshot()
            return {"limiters": {name: dataclasses.asdict(statistics) for name, statistics in limiters.items()}}
        raise ValueError(f"unknown workflow {job['workflow']!r}; known are: research, compare, chat, ask, status")
