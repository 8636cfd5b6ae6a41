"""Awaiting an answer, without sockets."""

from __future__ import annotations

import asyncio

import pytest

from zchat.cluster.calls import Question
from zchat.cluster.envelope import Call, Failure, Reply, decode, pack
from zchat.cluster.limits import Limits
from zchat.cluster.pipe import Pipe
from zchat.errors import BadRequest, RequestError


async def asked() -> tuple[Pipe, Question, list[bytes]]:
    """A question that was written."""
    pipe, messages = Pipe("chat-1", Limits()), []
    question = Question(1, "method", {"a": 1}, 2.5, b"origin")
    question.put(pipe, 102.5, idempotent=False)

    def write(message: bytes) -> bool:
        messages.append(message)
        return True

    pipe.flush(write, 100.0)
    return pipe, question, messages


async def test_what_is_written_and_what_comes_back() -> None:
    pipe, question, messages = await asked()
    assert decode(messages[0]) == [Call(1, "method", pack({"a": 1}), 2500, b"origin")]
    pipe.answer(Reply(1, pack([1, None])))
    assert await question.result(pipe) == [1, None]


async def test_failures_are_raised() -> None:
    pipe, question, _ = await asked()
    pipe.answer(Failure(1, 400, "wrong", {"path": "a"}))
    with pytest.raises(BadRequest, match="wrong") as error:
        await question.result(pipe)
    assert error.value.fields == {"path": "a"}


async def test_a_result_that_is_no_msgpack() -> None:
    pipe, question, _ = await asked()
    pipe.answer(Reply(1, b"\xc1"))
    with pytest.raises(RequestError, match="unreadable result of method"):
        await question.result(pipe)


async def test_cancelled_while_it_waits() -> None:
    pipe, question, _ = await asked()
    task = asyncio.create_task(question.result(pipe))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pipe.held == 0


async def test_answered_and_cancelled_in_one_turn() -> None:
    pipe, question, _ = await asked()
    task = asyncio.create_task(question.result(pipe))
    await asyncio.sleep(0)
    task.cancel()
    pipe.answer(Reply(1, pack(None)))
    with pytest.raises(asyncio.CancelledError):
        await task
