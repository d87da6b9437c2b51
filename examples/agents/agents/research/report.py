"""What research ends in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass
class Note:
    """What one document says about one question."""

    question: str
    document: str
    text: str
    grade: int = 0


@dataclass
class Report:
    """The notes of every question, best first, and what was lost on the way."""

    question: str
    questions: list[str]
    notes: list[Note] = field(default_factory=list)
    lost: int = 0
    summary: str = ""

    def as_dict(self) -> dict:
        return asdict(self)

    def as_text(self) -> str:
        lines = [f"# {self.question}", "", self.summary, ""]
        for question in self.questions:
            lines += [f"## {question}", ""]
            lines += [f"- [{note.grade}] {note.document}: {note.text}" for note in self.notes_of(question)]
            lines.append("")
        if self.lost:
            lines.append(f"{self.lost} answers were lost.")
        return "\n".join(lines)

    def notes_of(self, question: str) -> list[Note]:
        return sorted((note for note in self.notes if note.question == question), key=lambda note: -note.grade)
