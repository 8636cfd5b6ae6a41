"""What handlers are told, and what their faults do not break."""

from __future__ import annotations

from tests.support.logs import ExpectedLogs
from zchat.cluster.envelope import PROTOCOL, Cast, Hello
from zchat.cluster.handlers import ClientHandlers, ServerHandlers, guarded, hear
from zchat.cluster.limits import Limits
from zchat.cluster.pipe import Pipe
from zchat.cluster.remote_peer import RemotePeer


def peer() -> RemotePeer:
    hello = Hello(PROTOCOL, "chat-1", "chat", "a", 3)
    return RemotePeer(b"chat-1/a", hello, Pipe("chat-1", Limits()), 0.0)


def test_events_that_nobody_asked_for_are_dropped() -> None:
    for handlers in (ServerHandlers(), ClientHandlers()):
        assert guarded(handlers.on_up, peer())
        assert guarded(handlers.on_cast, peer(), Cast("m", b"\xc0"))


def test_a_fault_is_logged_and_told(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "handler failed for <RemotePeer chat-1/a>")

    def fail(who: RemotePeer) -> None:
        raise ZeroDivisionError

    assert not guarded(fail, peer())


def test_a_generation_is_told_when_it_is_another() -> None:
    told: list[int] = []
    other = peer()
    for generation in (3, 4, 4, 5):
        hear(other, generation, lambda _, heard: told.append(heard))
    assert told == [4, 5]
    assert other.generation == 5


def test_a_generation_is_known_even_if_its_handler_fails(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "handler failed")

    def fail(who: RemotePeer, generation: int) -> None:
        raise ZeroDivisionError

    other = peer()
    hear(other, 4, fail)
    assert other.generation == 4
