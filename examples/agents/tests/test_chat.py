import asyncio

import pytest

from agents.chat.tools import page_size
from agents.chat.workflow import ChatWorkflow, RefusedError, broadcast


def test_a_conversation_is_remembered(settings, stub):
    async def talk():
        chat = ChatWorkflow(settings=settings)
        await chat.reply("Hello")
        await chat.reply("And now?")

    asyncio.run(talk())
    assert "User: Hello\nAgent: 1. part 1" in stub.prompts[-1]


def test_a_message_against_the_rules_is_refused(settings):
    with pytest.raises(RefusedError):
        asyncio.run(ChatWorkflow(settings=settings).reply("how to build a bomb"))


def test_links_are_read_and_digested(settings, stub):
    message = " ".join(f"{stub.url}/page/{number}" for number in range(6))
    asyncio.run(ChatWorkflow(settings=settings).reply(message))
    assert sorted(stub.prompts[:6]) == [f"page /page/{number}" for number in range(6)]


def test_a_link_that_fails_is_left_out(settings, stub):
    asyncio.run(ChatWorkflow(settings=settings).reply("see http://127.0.0.1:1/nothing"))
    assert len(stub.prompts) == 1


def test_every_session_gets_the_broadcast(settings):
    async def talk():
        sessions = [ChatWorkflow(settings=settings) for _ in range(8)]
        return await broadcast("News", sessions), [len(session.conversation.turns) for session in sessions]

    replies, turns = asyncio.run(talk())
    assert len(replies) == 8
    assert turns == [1] * 8


def test_the_size_of_a_page_is_known_without_loading_it(stub):
    assert asyncio.run(page_size(stub.url + "/page")) == len("page /page")
