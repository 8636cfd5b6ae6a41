from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.timing import MS, eventually
from zchat.client.backoff import Backoff
from zchat.client.sender import Sender
from zchat.client.transport import Disconnected
from zchat.client.unsent import Unsent
from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.rooms.stream import StreamPosition

SAY = "talk.talkHandler.say"
BUSY = {"code": 503, "error": "busy", "retry": True}


class Wire:
    """Answers requests when it is told to."""

    def __init__(self, limit: int = 1000) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        backoff = Backoff(base=1 * MS, cap=1 * MS)
        self.sender = Sender(self.request, Unsent("me", limit, backoff))

    async def request(self, route: str, body: dict[str, Any]) -> Any:
        assert route == SAY
        self.asked.append(body)
        answer = await self._answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer(self, *answers: Any) -> None:
        for answer in answers:
            self._answers.put_nowait(answer)

    def say(self, said: str, timeout: float | None = None) -> asyncio.Task[dict[str, Any]]:
        return asyncio.create_task(self.sender.send(SAY, {"said": said}, said, timeout))

    async def until(self, count: int) -> list[str]:
        """What was asked, once it is this much."""
        await eventually(lambda: len(self.asked) >= count)
        return [body["said"] for body in self.asked]


@pytest.fixture
async def wire() -> Wire:
    return Wire()


async def test_one_after_the_other(wire: Wire) -> None:
    said = [wire.say(name) for name in "abc"]
    await asyncio.sleep(0)
    assert wire.asked == []  # the room has not been entered
    wire.sender.go_on()
    assert await wire.until(1) == ["a"]
    wire.answer({"offset": 1}, {"offset": 2}, {"offset": 3})
    assert await asyncio.gather(*said) == [{"offset": 1}, {"offset": 2}, {"offset": 3}]
    assert wire.asked[0] == {"said": "a", "cid": "a"}


async def test_sent_again_before_any_later_one(wire: Wire) -> None:
    wire.sender.go_on()
    said = [wire.say(name) for name in "ab"]
    wire.answer(BUSY, TimedOut("no answer"), Disconnected("gone"), {"offset": 1}, {"offset": 2})
    assert await asyncio.gather(*said) == [{"offset": 1}, {"offset": 2}]
    assert await wire.until(5) == ["a", "a", "a", "a", "b"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"code": 404, "error": "not here"}, RequestError),
        ({"code": 507, "error": "disk full"}, RequestError),
        (TypeError("not JSON"), TypeError),
    ],
    ids=str,
)
async def test_refused_ones_let_the_next_go(
    wire: Wire, answer: Any, error: type[Exception]
) -> None:
    wire.sender.go_on()
    said = [wire.say(name) for name in "ab"]
    wire.answer(answer, {"offset": 1})
    with pytest.raises(error, match=r"not|full"):
        await said[0]
    assert await said[1] == {"offset": 1}


async def test_nothing_goes_while_it_is_held(wire: Wire) -> None:
    wire.sender.go_on()
    said = [wire.say(name) for name in "ab"]
    await wire.until(1)
    wire.sender.hold()
    wire.answer(Disconnected("gone"))
    await eventually(lambda: len(asyncio.all_tasks()) == 3)  # this one and the two that say
    assert len(wire.asked) == 1
    wire.sender.go_on()
    wire.answer({"offset": 1}, {"offset": 2})
    assert await asyncio.gather(*said) == [{"offset": 1}, {"offset": 2}]


async def test_time_limits(wire: Wire) -> None:
    wire.sender.go_on()
    first, second = wire.say("a", 5 * MS), wire.say("b")
    with pytest.raises(TimedOut, match="was not acknowledged within"):
        await first
    assert await wire.until(1) == ["a"]
    wire.answer({"offset": 1}, {"offset": 2})
    assert await second == {"offset": 2}


async def test_cancelled_ones_are_not_sent(wire: Wire) -> None:
    said = [wire.say(name) for name in "ab"]
    await asyncio.sleep(0)
    said[0].cancel()
    wire.sender.go_on()
    wire.answer({"offset": 1})
    assert await said[1] == {"offset": 1}
    assert await wire.until(1) == ["b"]


async def test_seen_in_the_history(wire: Wire) -> None:
    wire.sender.go_on()
    said = wire.say("a")
    await wire.until(1)
    wire.sender.hold()
    wire.answer(Disconnected("gone"))
    await eventually(lambda: len(asyncio.all_tasks()) == 2)
    wire.sender.seen("another's", StreamPosition("e", 6))
    wire.sender.seen("a", StreamPosition("e", 7))
    wire.sender.go_on()
    assert await said == {"epoch": "e", "offset": 7}
    assert len(wire.asked) == 1


async def test_seen_while_it_is_on_the_wire(wire: Wire) -> None:
    wire.sender.go_on()
    said = wire.say("a")
    await wire.until(1)
    wire.sender.seen("a", StreamPosition("e", 7))
    wire.answer(TimedOut("no answer"))
    assert await said == {"epoch": "e", "offset": 7}


async def test_history_that_has_gone(wire: Wire) -> None:
    wire.sender.go_on()
    said = [wire.say(name) for name in "ab"]
    await wire.until(1)
    wire.sender.hold()
    wire.answer(Disconnected("gone"))
    await eventually(lambda: len(asyncio.all_tasks()) == 3)
    wire.sender.history_lost()
    with pytest.raises(TimedOut, match="cannot be found out"):
        await said[0]
    wire.sender.go_on()
    wire.answer({"offset": 9})
    assert await said[1] == {"offset": 9}


async def ended(wire: Wire, end: Callable[[Exception], None]) -> list[Any]:
    """What becomes of three sends, of which the first is on the wire when this happens."""
    wire.sender.go_on()
    said = [wire.say(name) for name in "abc"]
    await wire.until(1)
    end(RequestError("it is over"))
    wire.answer({"offset": 1})
    outcomes = await asyncio.gather(*said, return_exceptions=True)
    assert len(wire.asked) == 1
    return [outcome if isinstance(outcome, dict) else str(outcome) for outcome in outcomes]


async def test_the_room_is_left(wire: Wire) -> None:
    outcomes = await ended(wire, wire.sender.abandon)
    assert outcomes == [{"offset": 1}, "it is over", "it is over"]


async def test_what_waits_for_an_answer_is_not_sent_to_the_next_room(wire: Wire) -> None:
    wire.sender.go_on()
    said = wire.say("a")
    await wire.until(1)
    wire.sender.abandon(RequestError("left"))
    wire.answer(TimedOut("no answer"))
    with pytest.raises(TimedOut):
        await said
    assert len(wire.asked) == 1


async def test_there_will_be_no_connection(wire: Wire) -> None:
    assert await ended(wire, wire.sender.stop) == ["it is over"] * 3


async def test_stopped_in_a_pause() -> None:
    wire = Wire()
    wire.sender = Sender(wire.request, Unsent("me", backoff=Backoff(base=60.0, random=lambda: 1.0)))
    wire.sender.go_on()
    said = wire.say("a")
    wire.answer(BUSY)
    await wire.until(1)
    await eventually(lambda: len(asyncio.all_tasks()) == 2)
    wire.sender.stop(Disconnected("kicked"))
    with pytest.raises(Disconnected, match="kicked"):
        await said


async def test_too_many_wait() -> None:
    wire = Wire(limit=1)
    said = wire.say("a")
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await wire.say("b")
    wire.sender.go_on()
    wire.answer({"offset": 1})
    assert await said == {"offset": 1}
