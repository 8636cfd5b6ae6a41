from __future__ import annotations

import pytest

from zchat.client.backoff import Backoff
from zchat.client.transport import Disconnected
from zchat.client.unsent import Send, Unsent
from zchat.errors import ProtocolError, RequestError, TimedOut, Unavailable
from zchat.rooms.stream import StreamPosition

SAY = "talk.talkHandler.say"
PLACE = StreamPosition("e", 7)


def open_queue(count: int = 2, limit: int = 1000) -> tuple[Unsent, list[Send]]:
    """A queue that may send, and what is in it."""
    unsent = Unsent("me", limit, Backoff(base=1.0, cap=8.0, random=lambda: 1.0))
    unsent.go_on()
    return unsent, [unsent.add(SAY, {"n": number}) for number in range(count)]


def test_sends_carry_ids_of_their_own() -> None:
    unsent, sends = open_queue()
    assert [send.cid for send in sends] == ["me-1", "me-2"]
    assert sends[0].body == {"n": 0, "cid": "me-1"}
    assert unsent.add(SAY, {}, "mine").body == {"cid": "mine"}
    with pytest.raises(ValueError, match="'mine' is on its way"):
        unsent.add(SAY, {}, "mine")


def test_one_at_a_time_and_in_order() -> None:
    unsent, (first, second) = open_queue()
    assert unsent.next(0.0) is first
    assert unsent.next(0.0) is None
    assert unsent.due is None
    unsent.acknowledged(first)
    assert unsent.next(0.0) is second
    unsent.acknowledged(second)
    assert (unsent.next(0.0), unsent.due, len(unsent)) == (None, None, 0)


def test_nothing_goes_before_the_room_is_entered() -> None:
    unsent = Unsent("me")
    send = unsent.add(SAY, {})
    assert (unsent.due, unsent.next(0.0)) == (None, None)
    unsent.go_on()
    assert unsent.next(0.0) is send
    unsent.hold()
    assert not unsent.failed(send, Disconnected("gone"), 0.0)
    assert (unsent.due, unsent.next(100.0)) == (None, None)
    unsent.go_on()
    assert unsent.next(0.0) is send


AGAIN = [
    (Disconnected("gone"), True),
    (TimedOut("no answer"), True),
    (RequestError("no answer", code=504), True),
    (RequestError("was written", code=503, retry=False, outcome="unknown"), True),
    (Unavailable("busy"), False),
    (RequestError("too many", code=429), False),
]


@pytest.mark.parametrize(("error", "uncertain"), AGAIN, ids=str)
def test_what_is_sent_again(error: Exception, uncertain: bool) -> None:
    unsent, (first, second) = open_queue()
    unsent.next(0.0)
    assert not unsent.failed(first, error, 10.0)
    assert first.uncertain is uncertain
    assert unsent.due == 11.0
    assert unsent.next(10.9) is None
    assert unsent.next(11.0) is first
    assert unsent.repeated == 1
    assert not unsent.failed(first, Unavailable("busy"), 11.0)
    assert unsent.due == 13.0
    assert first.uncertain is uncertain  # an earlier attempt may have been published
    unsent.next(13.0)
    unsent.acknowledged(first)
    assert unsent.next(13.0) is second
    assert not unsent.failed(second, Unavailable("busy"), 13.0)
    assert unsent.due == 14.0


@pytest.mark.parametrize(
    "error",
    [
        RequestError("internal error"),
        RequestError("not here", code=404),
        RequestError("wrong", code=400),
        RequestError("disk full", code=507),
        RequestError("never", code=503, retry=False),
        RequestError("for good", code=503),
        ProtocolError("no object"),
        TypeError("not JSON"),
    ],
    ids=str,
)
def test_what_is_refused_for_good(error: Exception) -> None:
    unsent, (first, second) = open_queue()
    unsent.next(0.0)
    assert unsent.failed(first, error, 0.0)
    assert first.place is None
    assert unsent.next(0.0) is second
    assert len(unsent) == 1


@pytest.mark.parametrize(("told", "due"), [(5, 15.0), (0.5, 11.0), (-1, 11.0), ("soon", 11.0)])
def test_too_many_say_when(told: object, due: float) -> None:
    unsent, (first, _) = open_queue()
    unsent.next(10.0)
    unsent.failed(first, RequestError("too many", code=429, retry_after=told), 10.0)
    assert unsent.due == due


def test_too_many_wait() -> None:
    unsent, (first, _) = open_queue(limit=2)
    with pytest.raises(Unavailable, match="2 sends wait"):
        unsent.add(SAY, {})
    assert unsent.refused_full == 1
    unsent.next(0.0)
    unsent.acknowledged(first)
    unsent.add(SAY, {})


def test_seen_before_it_is_sent_again() -> None:
    unsent, (first, second) = open_queue()
    unsent.next(0.0)
    unsent.failed(first, Disconnected("gone"), 0.0)
    assert unsent.seen("another's", PLACE) is None
    assert unsent.seen(first.cid, PLACE) is first
    assert first.place == PLACE
    assert unsent.seen(first.cid, PLACE) is None
    assert unsent.next(9.0) is second


def test_what_never_left_is_not_acknowledged_by_anothers_id() -> None:
    """Whoever guesses our next id publishes something of their own."""
    unsent, (first, second) = open_queue()
    unsent.next(0.0)
    assert unsent.seen(second.cid, PLACE) is None
    unsent.acknowledged(first)
    assert unsent.next(0.0) is second
    assert second.place is None


def test_seen_while_its_answer_is_waited_for() -> None:
    unsent, (first, second) = open_queue()
    unsent.next(0.0)
    assert unsent.seen(first.cid, PLACE) is None
    assert unsent.failed(first, TimedOut("no answer"), 0.0)
    assert first.place == PLACE
    assert unsent.next(0.0) is second


def test_a_sender_that_gives_up() -> None:
    unsent, (first, second) = open_queue()
    unsent.next(0.0)
    unsent.discard(first)
    assert unsent.next(0.0) is None  # its answer is waited for, or the two could swap
    assert unsent.failed(first, Unavailable("busy"), 0.0)
    unsent.discard(first)
    assert unsent.next(0.0) is second


def test_what_may_have_been_published_where_history_has_gone() -> None:
    unsent, (first, second) = open_queue()
    unsent.next(0.0)
    assert unsent.give_up_uncertain() == []
    unsent.failed(first, Disconnected("gone"), 0.0)
    assert unsent.give_up_uncertain() == [first]
    assert unsent.next(9.0) is second
    unsent.failed(second, TimedOut("no answer"), 9.0)
    unsent.next(20.0)
    assert unsent.give_up_uncertain() == []  # its answer will tell


def test_nothing_is_sent_to_the_next_room() -> None:
    unsent, (first, second) = open_queue()
    unsent.next(0.0)
    assert unsent.clear() == [second]
    third = unsent.add(SAY, {})
    assert unsent.next(0.0) is None
    assert unsent.failed(first, TimedOut("no answer"), 0.0)
    assert unsent.next(0.0) is third
