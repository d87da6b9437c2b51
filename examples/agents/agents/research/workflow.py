"""The research workflow: plan questions, read every document for each of them, grade the notes, sum up."""

from __future__ import annotations

import asyncio
import logging
import re

from agents.provider import Provider, ProviderError
from agents.research.documents import Document
from agents.research.report import Note, Report
from agents.settings import Settings

logger = logging.getLogger(__name__)

PLANNER = "You break a research question into smaller questions, one a line."
READER = "You say in two sentences what a document contributes to a question."
GRADER = "You grade how useful a note is, from 0 to 9. Answer with the number."
WRITER = "You write the summary of a research report."


class ResearchWorkflow:
    """One workflow for the process; `run` may be called many times."""

    def __init__(self, provider: Provider | None = None, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.provider = provider or Provider(self.settings)

    async def run(self, question: str, documents: list[Document]) -> Report:
        """Research a question over all documents."""
        questions = await self.plan(question)
        report = Report(question, questions)
        found = await asyncio.gather(*[self.investigate(each, documents) for each in questions])
        for notes in found:
            report.notes.extend(notes)
        report.lost = len(questions) * len(documents) - len(report.notes)
        await self.grade_all(report)
        report.summary, titles = await asyncio.gather(self.summarise(report), self.titles(documents))
        report.summary = f"{report.summary}\n\nFirst sources: {', '.join(titles)}"
        return report

    async def plan(self, question: str) -> list[str]:
        answer = await self.provider.complete(question, system=PLANNER)
        lines = [re.sub(r"^\W*\d*\W*", "", line) for line in answer.text.splitlines()]
        return [line for line in lines if line][: self.settings.max_questions] or [question]

    async def investigate(self, question: str, documents: list[Document]) -> list[Note]:
        """Read every document with one question in mind."""
        readings = []
        for document in documents:
            readings.append(self.read(question, document))
        results = await asyncio.gather(*readings, return_exceptions=True)
        notes = []
        for document, result in zip(documents, results):
            if isinstance(result, BaseException):
                logger.warning("nothing from %s: %s", document.name, result)
            else:
                notes.append(result)
        return notes

    async def read(self, question: str, document: Document) -> Note:
        answer = await self.provider.complete(f"{question}\n\n{document.text}", system=READER)
        return Note(question, document.name, answer.text)

    async def grade_all(self, report: Report) -> None:
        """Grade all notes before the deadline, or none."""
        try:
            grades = await asyncio.wait_for(
                asyncio.gather(*(self.grade(report.question, note) for note in report.notes)),
                timeout=self.settings.deadline,
            )
        except (asyncio.TimeoutError, ProviderError) as error:
            logger.warning("notes stay ungraded: %r", error)
            return
        for note, grade in zip(report.notes, grades):
            note.grade = grade

    async def grade(self, question: str, note: Note) -> int:
        answer = await self.provider.complete(f"{question}\n\n{note.text}", system=GRADER, max_tokens=4)
        number = re.search(r"\d", answer.text)
        return int(number[0]) if number else 0

    async def summarise(self, report: Report) -> str:
        best = sorted(report.notes, key=lambda note: -note.grade)[:10]
        answer = await self.provider.complete("\n".join(note.text for note in best), system=WRITER)
        return answer.text

    async def titles(self, documents: list[Document]) -> list[str]:
        """The first few documents by a readable name."""
        answers = await asyncio.gather(
            *[self.provider.complete(document.text[:200], max_tokens=16) for document in documents[:5]]
        )
        return [answer.text.splitlines()[0] for answer in answers]


async def compare(workflow: ResearchWorkflow, questions: list[str], documents: list[Document]) -> dict[str, Report]:
    """Research several questions over the same documents, at once."""
    first, *rest = await asyncio.gather(*(workflow.run(question, documents) for question in questions))
    return {report.question: report for report in (first, *rest)}
