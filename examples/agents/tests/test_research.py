import asyncio

from agents.research.documents import Document, load_documents, paragraphs
from agents.research.workflow import ResearchWorkflow, compare


def test_documents_are_the_text_files_by_name(folder):
    documents = asyncio.run(load_documents(folder))
    assert [document.name for document in documents] == [f"{number:02}.md" for number in range(24)]


def test_paragraphs_are_joined_up_to_a_size():
    document = Document("a", "one\n\ntwo\n\n" + "x" * 50)
    assert paragraphs(document, size=20) == ["one\n\ntwo", "x" * 50]


def test_every_document_is_read_for_every_question(folder, settings, stub):
    async def research():
        return await ResearchWorkflow(settings=settings).run("Why?", await load_documents(folder))

    report = asyncio.run(research())
    assert len(report.questions) == 3
    assert [note.document for note in report.notes] == [f"{number:02}.md" for number in range(24)] * 3
    assert report.lost == 0
    # the plan, 72 notes, 72 grades, the summary and five titles
    assert stub.requests["/v1/chat/completions"] == 1 + 72 + 72 + 1 + 5


def test_refused_calls_are_made_again(folder, settings, stub):
    async def research():
        documents = await load_documents(folder)
        workflow = ResearchWorkflow(settings=settings)
        stub.refusals = 40
        return await workflow.investigate("Why?", documents)

    assert len(asyncio.run(research())) == 24
    assert stub.requests["/v1/chat/completions"] == 64


def test_a_document_that_is_refused_too_often_is_lost(settings, stub):
    async def research():
        workflow = ResearchWorkflow(settings=settings)
        stub.refusals = 1000
        return await workflow.investigate("Why?", [Document("a", "text")])

    assert asyncio.run(research()) == []
    assert stub.requests["/v1/chat/completions"] == 5


def test_the_report_lists_the_best_notes_first(folder, settings):
    async def research():
        return await ResearchWorkflow(settings=settings).run("Why?", (await load_documents(folder))[:3])

    report = asyncio.run(research())
    report.notes[1].grade = 9
    assert "## part 1 of 'Why?'\n\n- [9] 01.md" in report.as_text()


def test_several_questions_are_compared(settings):
    async def research():
        documents = [Document(str(number), f"text {number}") for number in range(4)]
        return await compare(ResearchWorkflow(settings=settings), ["Why?", "How?", "When?"], documents)

    assert list(asyncio.run(research())) == ["Why?", "How?", "When?"]
