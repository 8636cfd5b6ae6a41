"""From a client's message to one answer; the other servers are a list of what they were sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from tests.frontend.audience import LOBBY, Stage, connection_of
from tests.support.logs import ExpectedLogs
from zchat.cluster.envelope import IDEMPOTENT, NOTIFY, OnAnswer, Reply, failure
from zchat.cluster.rpc_client import RpcClient
from zchat.errors import RequestError, Unavailable
from zchat.frontend.disconnect import SERVER_STOPPING
from zchat.frontend.forwarder import Finish, Forwarder
from zchat.frontend.session import Session, decode_snapshot
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import REQUEST, RESPONSE, Message, decode
from zchat.protocol.package import MAX_BODY
from zchat.protocol.package import decode as packages

NO_ROUTES = RouteDictionary((), ())
SEND = "chat.chatHandler.send"
ENTER = "connector.entryHandler.enter"


class Sent:
    """What the RpcClient was given."""

    def __init__(self, *args: Any) -> None:
        (self.server, self.route, self.session, self.body) = args[:4]
        (self.budget, self.kind, self.on_answer) = args[4:7]
        self.message_id: int = args[7] if len(args) > 7 else 0

    def reply(self, body: bytes = b"{}") -> None:
        self.on_answer(Reply(1, body))


class FakeClient:
    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.at_once: Callable[[OnAnswer], None] | None = None

    def request(self, *args: Any) -> int:
        self.sent.append(Sent(*args))
        if self.at_once:
            self.at_once(args[6])
        return 1


class Desk:
    """A forwarder, and all who may answer."""

    def __init__(self, *, limit: int = 64) -> None:
        self.stage = Stage()
        self.client = FakeClient()
        self.local: list[tuple[Session, Message, Finish]] = []
        self.picked: str | Exception = "chat-server-1"
        self.forwarder = Forwarder(
            "connector",
            cast(RpcClient, self.client),
            self._pick,
            lambda *args: self.local.append(args),
            self.stage.hub,
            deadline=5.0,
            limit=limit,
            retried=frozenset({SEND}),
        )
        self.session = self.stage.open()

    def _pick(self, server_type: str, session: Session, route: str, body: bytes) -> str:
        assert server_type == route.partition(".")[0]
        assert session is self.session
        if isinstance(self.picked, Exception):
            raise self.picked
        return self.picked

    def take(self, id: int, route: str = SEND, body: bytes = b"{}") -> None:  # noqa: A002
        self.forwarder.take(self.session, Message(id, REQUEST, route, body))

    @property
    def answers(self) -> list[tuple[int, Any]]:
        """What the client was answered: ids and bodies."""
        found = []
        for data in connection_of(self.session).writes:
            start = {126: 4, 127: 10}.get(data[1], 2)
            for package in packages(data[start:], MAX_BODY):
                message = decode(package.body, NO_ROUTES)
                assert message.type is RESPONSE
                found.append((message.id, msgspec.json.decode(message.body)))
        return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_request_goes_unread_to_the_picked_server(desk: Desk) -> None:
    desk.session.bind("alice")
    desk.take(7, SEND, b"\xff not even JSON")
    (sent,) = desk.client.sent
    assert (sent.server, sent.route, sent.body) == ("chat-server-1", SEND, b"\xff not even JSON")
    assert (sent.budget, sent.message_id) == (5.0, 7)
    assert decode_snapshot(sent.session).uid == "alice"
    assert desk.answers == []
    assert (desk.session.requests, desk.session.in_flight) == (1, {7})
    sent.reply(b'{"ok":1}')
    assert desk.answers == [(7, {"ok": 1})]
    assert (desk.session.requests, desk.session.in_flight) == (0, None)


def test_only_routes_that_say_so_are_sent_twice(desk: Desk) -> None:
    desk.take(1, SEND)
    desk.take(2, "chat.chatHandler.other")
    assert [sent.kind for sent in desk.client.sent] == [IDEMPOTENT, 0]


def test_answers_may_overtake_each_other(desk: Desk) -> None:
    desk.take(1)
    desk.take(2)
    first, second = desk.client.sent
    second.reply(b'{"n":2}')
    assert desk.session.in_flight == {1}
    first.reply(b'{"n":1}')
    assert desk.answers == [(2, {"n": 2}), (1, {"n": 1})]


def test_a_failure_is_an_answer(desk: Desk) -> None:
    desk.take(1)
    desk.client.sent[0].on_answer(failure(1, 503, "away", {"retry": True}))
    assert desk.answers == [(1, {"code": 503, "error": "away", "retry": True})]


def test_a_failure_may_come_before_the_request_is_out(desk: Desk) -> None:
    desk.client.at_once = lambda on_answer: on_answer(failure(1, 503, "full", {}))
    desk.take(1)
    desk.take(2)
    assert [(number, body["error"]) for number, body in desk.answers] == [(1, "full"), (2, "full")]
    assert (desk.session.requests, desk.session.in_flight) == (0, None)


def test_a_notify_is_never_answered(desk: Desk) -> None:
    desk.take(0)
    (sent,) = desk.client.sent
    assert (sent.kind & NOTIFY, sent.message_id) == (NOTIFY, 0)
    assert desk.session.requests == 0
    sent.on_answer(failure(1, 503, "lost", {}))
    desk.picked = Unavailable("nobody")
    desk.take(0)
    desk.take(0, "nothing")
    assert desk.answers == []
    assert desk.session.requests == 0


def test_a_notify_here_counts_until_it_is_done(desk: Desk) -> None:
    desk.take(0, ENTER)
    assert (desk.session.requests, desk.session.in_flight) == (1, None)
    desk.local[0][2](b"{}")
    assert desk.session.requests == 0
    assert desk.answers == []


def test_the_own_type_is_handled_here(desk: Desk) -> None:
    desk.take(3, ENTER, b'{"rid":1}')
    ((session, message, finish),) = desk.local
    assert (session, message.route, message.body) == (desk.session, ENTER, b'{"rid":1}')
    assert desk.client.sent == []
    finish(b'{"users":[]}')
    assert desk.answers == [(3, {"users": []})]
    assert desk.forwarder.counters == {"local": 1}


def test_two_answers_are_one(desk: Desk) -> None:
    desk.take(3, ENTER)
    desk.take(4)
    finish, sent = desk.local[0][2], desk.client.sent[0]
    finish(b'{"n":1}')
    finish(b'{"n":2}')
    sent.reply(b'{"n":3}')
    sent.on_answer(failure(1, 504, "late", {}))
    assert desk.answers == [(3, {"n": 1}), (4, {"n": 3})]
    assert desk.session.requests == 0
    assert desk.forwarder.counters["answered_twice"] == 2


@pytest.mark.parametrize("route", ["", "nothing", ".chatHandler.send", "x" * 300])
def test_a_route_without_a_server_type_is_an_error(desk: Desk, route: str) -> None:
    desk.take(1, route)
    ((_, body),) = desk.answers
    assert body["code"] == 500
    assert "names no server type" in body["error"]
    assert len(body["error"]) < 150


def test_what_the_router_refuses_is_the_answer(desk: Desk) -> None:
    desk.picked = RequestError("enter first", path="rid")
    desk.take(1)
    assert desk.answers == [(1, {"code": 500, "error": "enter first", "path": "rid"})]
    assert desk.session.requests == 0


def test_a_faulty_router_is_an_internal_error_and_the_connection_lives(
    desk: Desk, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.session", f"{SEND}: no server could be picked")
    desk.picked = TypeError("secret detail")
    desk.take(1)
    desk.take(0)
    assert desk.answers == [(1, {"code": 500, "error": "internal error"})]
    assert desk.session.requests == 0
    assert connection_of(desk.session).disconnect is None


def test_too_many_at_once_are_refused_and_counted() -> None:
    desk = Desk(limit=2)
    desk.take(1)
    desk.take(0, ENTER)
    desk.take(3)
    desk.take(0)
    assert desk.answers == [(3, {"code": 429, "error": "too many requests at once"})]
    assert desk.forwarder.counters["too_many_in_flight"] == 2
    assert (len(desk.client.sent), desk.session.in_flight) == (1, {1})
    desk.client.sent[0].reply()
    desk.take(4)
    assert len(desk.client.sent) == 2


def test_an_id_used_twice_at_once_is_answered_twice(desk: Desk) -> None:
    desk.take(1)
    desk.take(1)
    for sent in desk.client.sent:
        sent.reply()
    assert desk.answers == [(1, {}), (1, {})]
    assert (desk.session.requests, desk.session.in_flight) == (0, None)


def test_an_answer_too_large_for_a_package_becomes_an_error(
    desk: Desk, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.session", "request 1 of session 1: a package body holds at most")
    desk.take(1)
    desk.client.sent[0].reply(b" " * (MAX_BODY + 1))
    desk.take(2)
    desk.client.sent[1].reply()
    assert desk.answers == [(1, {"code": 500, "error": "internal error"}), (2, {})]
    assert desk.forwarder.counters["answers_too_large"] == 1


def test_answers_after_the_session_closed_go_nowhere(desk: Desk) -> None:
    desk.take(1)
    desk.take(2, ENTER)
    desk.stage.join("alice", session=desk.session)
    connection_of(desk.session).disconnect = SERVER_STOPPING
    desk.stage.close(desk.session)
    desk.client.sent[0].reply()
    desk.local[0][2](b"{}")
    assert desk.answers == []
    assert (desk.session.requests, desk.session.in_flight) == (0, None)
    assert desk.stage.hub.channels == {}


async def test_an_answer_lets_its_member_go_live_behind_it(desk: Desk) -> None:
    desk.take(9, ENTER)
    desk.stage.hub.join(desk.session, LOBBY, "alice", "chat-server-1", b"token", 9)
    desk.stage.joined(desk.session)
    desk.stage.publish(1, "one")
    assert connection_of(desk.session).writes == []
    desk.local[0][2](b"{}")
    answer, push = connection_of(desk.session).writes
    assert answer.endswith(b"{}")
    assert push.endswith(b"one")
