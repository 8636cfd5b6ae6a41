from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.client.fake_room import CUT, ENTER, HISTORY, LATE, LOST, MOVE, NEWS, SAY, FakeRooms
from tests.client.fake_server import FakeServer
from tests.support.timing import MS, eventually
from zchat.client import Backoff, Client, Disconnected, Hole, Room, State, StreamPosition
from zchat.client.recovery import HISTORY_LOST
from zchat.errors import ProtocolError, RequestError, TimedOut, Unavailable
from zchat.frontend import publications
from zchat.rooms.wish import PRESENCE

BUSY = {"code": 503, "error": "busy", "retry": True}
TAKEN = {"code": 500, "error": True}


@pytest.fixture
def rooms(server: FakeServer) -> FakeRooms:
    return FakeRooms(server)


class Ann:
    """Somebody in a room, who writes everything down."""

    def __init__(self, rooms: FakeRooms, **options: Any) -> None:
        quick = Backoff(base=2 * MS, cap=10 * MS)
        self.client = Client(rooms.server.url, timeout=500 * MS, backoff=quick)
        self.room = Room(
            self.client,
            enter=ENTER,
            body={"name": "ann", "room": "pier"},
            history=HISTORY,
            prefix="ann",
            secret="secret",
            backoff=Backoff(base=1 * MS, cap=1 * MS),
            **options,
        )
        self.told: list[Any] = []
        self.room.on(NEWS, lambda body: self.told.append(body["said"]))
        self.room.on("onNote", self.told.append)
        self.room.on_lost(self.told.append)
        self.room.on_entered(lambda answer: self.told.append(answer["people"]))

    async def say(self, said: str, **options: Any) -> dict[str, Any]:
        return await self.room.send(SAY, {"said": said}, **options)

    async def until(self, *told: Any) -> None:
        """Wait until this was told, and nothing else."""
        await eventually(lambda: len(self.told) >= len(told))
        assert self.told == list(told)


PEOPLE = ["ann"]


async def test_entered_with_the_connection(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        assert rooms.asked == [(ENTER, {"name": "ann", "room": "pier", "resume": "secret.1"})]
        rooms.publish("hello")
        rooms.server.push("onNote", "bob came")
        await ann.until(PEOPLE, "hello", "bob came")
        assert await ann.say("hi") == {"epoch": "e", "offset": 2}
        await ann.until(PEOPLE, "hello", "bob came", "hi")
        assert rooms.asked_for(SAY) == [{"said": "hi", "cid": "ann-1"}]
    with pytest.raises(Disconnected, match="offline"):
        await ann.say("too late")


async def test_refused_at_the_start(rooms: FakeRooms) -> None:
    rooms.faults.append(TAKEN)
    ann = Ann(rooms)
    with pytest.raises(RequestError, match="code 500"):
        await ann.client.start()


async def test_back_with_position_and_token(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.publish("1")
        await ann.until(PEOPLE, "1")
        ann.client.drop()
        rooms.publish("2", push=False)
        await ann.until(PEOPLE, "1", PEOPLE, "2")
        back = {"since": {"epoch": "e", "offset": 1}, "resume": "secret.2"}
        assert rooms.asked_for(ENTER)[1] == {"name": "ann", "room": "pier", **back}
        assert rooms.asked_for(HISTORY) == []


async def test_begins_where_an_earlier_program_was(rooms: FakeRooms) -> None:
    rooms.here = "pier"
    for said in ("known", "missed"):
        rooms.publish(said, push=False)
    ann = Ann(rooms, since=StreamPosition("e", 1))
    async with ann.client:
        assert rooms.asked[0][1]["since"] == {"epoch": "e", "offset": 1}
        await ann.until(PEOPLE, "missed")
        assert ann.room.recovery.position == StreamPosition("e", 2)


async def test_much_was_missed(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        ann.client.drop()
        for number in range(7):
            rooms.publish(str(number), push=False)
        await ann.until(PEOPLE, PEOPLE, *"0123456")
        assert [asked["after"] for asked in rooms.asked_for(HISTORY)] == [2, 4, 6]


async def test_pushes_that_come_while_pages_are_read(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        ann.client.drop()
        for number in range(4):
            rooms.publish(str(number), push=False)
        done = rooms.server.handlers[HISTORY]

        def publish_first(body: dict[str, Any]) -> Any:
            rooms.publish("live")
            return done(body)

        rooms.server.handlers[HISTORY] = publish_first
        await ann.until(PEOPLE, PEOPLE, *"0123", "live")


async def test_too_many_pushes_while_pages_are_read(rooms: FakeRooms) -> None:
    ann = Ann(rooms, max_held=1)
    async with ann.client:
        ann.client.drop()
        for number in range(4):
            rooms.publish(str(number), push=False)
        done = rooms.server.handlers[HISTORY]

        def publish_first(body: dict[str, Any]) -> Any:
            for number in range(4, 7):
                rooms.publish(str(number))
            rooms.server.handlers[HISTORY] = done
            return done(body)

        rooms.server.handlers[HISTORY] = publish_first
        await ann.until(PEOPLE, PEOPLE, *"01234", PEOPLE, *"56")
        assert ann.room.recovery.dropped == 2
        assert await ann.say("7")


async def test_lost_again_while_pages_are_read(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.faults.extend([None, None, CUT, TAKEN, BUSY])
        ann.client.drop()
        for number in range(6):
            rooms.publish(str(number), push=False)
        await ann.until(PEOPLE, PEOPLE, *"01", "2", "3", PEOPLE, "4", "5")
        assert await ann.say("6")


async def test_who_comes_and_goes_is_asked_for_as_differences(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    told: list[tuple[list[str], list[str]]] = []
    end = ann.room.on_presence(lambda joined, left: told.append((joined, left)))
    async with ann.client:
        await ann.until(PEOPLE)
        rooms.server.push(PRESENCE, {"joined": ["bob", "cy"], "left": []})
        await eventually(lambda: told == [(["bob", "cy"], [])])
        await ann.room.move(MOVE, {"room": "quay"})
        end()
        rooms.server.push(PRESENCE, {"joined": [], "left": ["bob"]})
        rooms.publish("1")
        await ann.until(PEOPLE, PEOPLE, "1")
    assert len(told) == 1
    assert [rooms.asked_for(route)[0]["presence"] for route in (ENTER, MOVE)] == ["diff", "diff"]


async def test_holes_are_told(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.publish("1")
        rooms.server.push(HISTORY_LOST, {"epoch": "e", "after": 1, "before": 4})
        await ann.until(PEOPLE, "1", Hole("e", 1, 4))
        rooms.epoch = "f"
        ann.client.drop()
        await ann.until(PEOPLE, "1", Hole("e", 1, 4), PEOPLE, Hole("f", 0, 2))
    assert publications.HISTORY_LOST == HISTORY_LOST


@pytest.mark.parametrize(
    "fault",
    [LOST, LATE, CUT, BUSY, {"code": 429}, {"code": 504}],
    ids=["lost", "late", "cut", "busy", "429", "504"],
)
async def test_sent_until_it_is_acknowledged(rooms: FakeRooms, fault: object) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.faults.append(fault)
        places = await asyncio.gather(*(ann.say(said) for said in "abc"))
        assert [place["offset"] for place in places] == [1, 2, 3]
        assert rooms.said == ["a", "b", "c"]
        assert len({asked["cid"] for asked in rooms.asked_for(SAY)}) == 3
        await eventually(lambda: [said for said in ann.told if said != PEOPLE] == ["a", "b", "c"])


async def test_sent_while_there_is_no_connection(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        await rooms.server.stop()
        await eventually(lambda: ann.client.state is State.RECONNECTING)
        saying = [asyncio.create_task(ann.say(said)) for said in "ab"]
        with pytest.raises(TimedOut):
            await ann.say("c", timeout=5 * MS)
        rooms.server.start()
        await asyncio.gather(*saying)
        assert rooms.said == ["a", "b"]


async def test_refused_sends(rooms: FakeRooms) -> None:
    ann = Ann(rooms, max_unsent=2)
    async with ann.client:
        rooms.faults.append({"code": 404, "error": "bob is not here"})
        saying = [asyncio.create_task(ann.say(said)) for said in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="2 sends wait"):
            await ann.say("c")
        with pytest.raises(RequestError, match="bob is not here"):
            await saying[0]
        assert await saying[1] == {"epoch": "e", "offset": 1}


async def test_history_has_gone_where_a_send_may_be(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        await ann.say("old")
        rooms.epoch = "f"
        rooms.faults.append(CUT)
        saying = [asyncio.create_task(ann.say(said)) for said in "ab"]
        with pytest.raises(TimedOut, match="cannot be found out"):
            await saying[0]
        await saying[1]
        assert rooms.said == ["old", "b"]


async def test_a_kick_ends_it(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.faults.append(LATE)
        saying = [asyncio.create_task(ann.say(said)) for said in "ab"]
        await eventually(lambda: rooms.asked_for(SAY))
        rooms.server.connections[0].kick("resumed on another connection", 4503)
        for said in saying:
            with pytest.raises(Disconnected, match="resumed on another") as caught:
                await said
            assert not caught.value.reconnect
    assert len(rooms.asked_for(ENTER)) == 1


async def test_closed_with_sends_that_wait(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    await ann.client.start()
    rooms.faults.append(LATE)
    saying = asyncio.create_task(ann.say("a"))
    await eventually(lambda: rooms.asked_for(SAY))
    await ann.client.close()
    with pytest.raises(Disconnected, match="closed by this client"):
        await saying


async def test_history_backwards(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        for number in range(5):
            rooms.publish(str(number))
        page = await ann.room.history(before=5, limit=2)
        assert [said["said"] for said in page["publications"]] == ["2", "3"]
        assert (page["more"], page["next"]) == (True, 3)
        await ann.room.history()
        assert rooms.asked_for(HISTORY) == [{"limit": 2, "before": 5}, {"limit": 50}]
        await ann.until(PEOPLE, *"01234")


async def test_to_another_room_and_back(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        await ann.say("1")
        assert (await ann.room.move(MOVE, {"room": "quay"}))["people"] == PEOPLE
        assert rooms.asked_for(MOVE) == [{"room": "quay", "resume": "secret.2"}]
        await ann.say("other")
        ann.client.drop()
        await eventually(lambda: len(rooms.asked_for(ENTER)) == 2)
        since = {"epoch": "e", "offset": 1}
        token = {"resume": "secret.3"}
        assert rooms.asked_for(ENTER)[1] == {"name": "ann", "room": "quay", "since": since, **token}
        for said in "234":
            rooms.here = "pier"
            rooms.publish(said, push=False)
        await eventually(lambda: ann.client.state is State.ONLINE)
        await ann.room.move(MOVE, {"room": "pier"})
        assert rooms.asked_for(MOVE)[1] == {"room": "pier", "since": since, "resume": "secret.4"}
        await ann.until(PEOPLE, "1", PEOPLE, "other", PEOPLE, PEOPLE, "2", "3", "4")
        assert (await ann.say("5"))["offset"] == 5


async def test_what_is_not_acknowledged_when_the_room_is_left(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.faults.append(LATE)
        saying = [asyncio.create_task(ann.say(said)) for said in "ab"]
        await eventually(lambda: rooms.asked_for(SAY))
        await ann.room.move(MOVE, {"room": "quay"})
        assert await saying[0] == {"epoch": "e", "offset": 1}  # it was seen there
        with pytest.raises(RequestError, match="left before it was acknowledged"):
            await saying[1]
        await ann.say("c")
        assert rooms.said == ["c"]


async def test_a_move_that_is_refused(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.faults.append(TAKEN)
        with pytest.raises(RequestError):
            await ann.room.move(MOVE, {"room": "quay"})
        assert (await ann.say("still here"))["offset"] == 1
        assert rooms.here == "pier"


async def test_a_move_to_where_we_are(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        await ann.say("1")
        rooms.publish("2", push=False)  # on its way, and slower than the answer
        await ann.room.move(MOVE, {"room": "pier"})
        await ann.until(PEOPLE, "1", PEOPLE, "2")
        rooms.faults.append(TAKEN)
        with pytest.raises(RequestError):
            await ann.room.move(MOVE, {"room": "pier"})
        rooms.publish("3")
        await ann.until(PEOPLE, "1", PEOPLE, "2", PEOPLE, "3")


@pytest.mark.parametrize(
    ("fault", "error"),
    [(LATE, TimedOut), (LOST, Disconnected), ({"code": 504}, RequestError)],
    ids=["late", "lost", "504"],
)
async def test_a_move_of_which_nothing_is_known(
    rooms: FakeRooms, fault: object, error: type[Exception]
) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.faults.append(fault)
        with pytest.raises(error):
            await ann.room.move(MOVE, {"room": "quay"})
        assert (await ann.say("back again"))["offset"] == 1
        assert rooms.here == "pier"
        assert [asked["room"] for asked in rooms.asked_for(ENTER)] == ["pier", "pier"]


async def test_a_move_that_is_cancelled(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        rooms.faults.append(LATE)
        moving = asyncio.create_task(ann.room.move(MOVE, {"room": "quay"}))
        await eventually(lambda: rooms.asked_for(MOVE))
        moving.cancel()
        await eventually(lambda: len(rooms.asked_for(ENTER)) == 2)
        await ann.say("back again")
        assert rooms.here == "pier"


@pytest.mark.parametrize("fault", [CUT, BUSY, LATE], ids=["cut", "busy", "late"])
async def test_a_move_after_which_the_history_does_not_come(
    rooms: FakeRooms, fault: object
) -> None:
    ann = Ann(rooms)
    async with ann.client:
        await ann.room.move(MOVE, {"room": "quay"})
        rooms.here = "pier"
        for number in range(5):
            rooms.publish(str(number), push=False)
        rooms.faults.extend([None, fault])
        assert (await ann.room.move(MOVE, {"room": "pier"}))["next"] == 2
        await ann.until(PEOPLE, PEOPLE, PEOPLE, "0", "1", PEOPLE, "2", "3", "4")
        assert rooms.asked_for(ENTER)[-1]["room"] == "pier"


async def test_a_move_that_is_cancelled_while_history_is_read(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        await ann.room.move(MOVE, {"room": "quay"})
        rooms.here = "pier"
        for number in range(5):
            rooms.publish(str(number), push=False)
        rooms.faults.extend([None, LATE])
        moving = asyncio.create_task(ann.room.move(MOVE, {"room": "pier"}))
        await eventually(lambda: rooms.asked_for(HISTORY))
        moving.cancel()
        await ann.until(PEOPLE, PEOPLE, PEOPLE, "0", "1", PEOPLE, "2", "3", "4")
        assert moving.cancelled()


async def test_an_answer_that_makes_no_sense(rooms: FakeRooms) -> None:
    rooms.faults.append({"position": 7})
    with pytest.raises(ProtocolError, match="no place in a room"):
        await Ann(rooms).client.start()


async def test_made_too_late(rooms: FakeRooms) -> None:
    ann = Ann(rooms)
    async with ann.client:
        with pytest.raises(RuntimeError, match="a client that is online"):
            Room(ann.client, enter=ENTER, body={}, history=HISTORY)
