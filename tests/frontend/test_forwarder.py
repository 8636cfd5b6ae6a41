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
from zchat.frontend.dialect import Dialect
from zchat.frontend.forwarder import Finish, Forwarder
from zchat.frontend.session import Session, decode_snapshot
from zchat.frontend.sockets.disconnect import SERVER_STOPPING
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import REQUEST, RESPONSE, Message, decode
from zchat.protocol.package import MAX_BODY
from zchat.protocol.package import decode as packages
from zchat.protocol.protos import Protos
from zchat.protocol.schema import parse

NO_ROUTES = RouteDictionary((), ())
SEND = "chat.chatHandler.send"
ENTER = "connector.entryHandler.enter"


class Sent:
    """What the RpcClient was given."""

    def __init__(self, *args: Any) -> None:
        (self.server, self.route, self.session, self.body) = args[:4]
        (self.budget, self.kind, self.on_answer) = args[4:7]
        self.message_id: int = args[7] if len(args) > 7 else 0

        self.done = False

    def reply(self, body: bytes = b"{}") -> None:
        self.done = True
        self.on_answer(Reply(1, body))

    def fail(self, code: int, text: str) -> None:
        self.done = True
        self.on_answer(failure(1, code, text, {}))


class FakeClient:
    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.peers = {"chat-server-1", "chat-server-2", "chat-server-3"}
        self.at_once: Callable[[OnAnswer], None] | None = None

    def request(self, *args: Any) -> int:
        self.sent.append(Sent(*args))
        if args[0] not in self.peers:
            args[6](failure(1, 503, f"no server {args[0]}", {"retry": True}))
        elif self.at_once:
            self.at_once(args[6])
        return 1

    def disconnect(self, server: str) -> None:
        """What is unanswered there fails, oldest first."""
        self.peers.discard(server)
        for sent in self.sent:
            if sent.server == server and not sent.done:
                sent.fail(503, f"lost the link to {server}")


class Desk:
    """A forwarder, and all who may answer."""

    def __init__(self, *, limit: int = 64, dialect: Dialect | None = None) -> None:
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
            now=100.0,
            retried=frozenset({SEND}),
            dialect=dialect,
        )
        self.pick: Callable[[], str | Exception] = lambda: self.picked
        self.session = self.stage.open()

    def _pick(self, server_type: str, session: Session, route: str, body: bytes) -> str:
        assert server_type == route.partition(".")[0]
        assert session is self.session
        picked = self.pick()
        if isinstance(picked, Exception):
            raise picked
        return picked

    def close(self) -> None:
        """The session's connection ends."""
        connection_of(self.session).disconnect = SERVER_STOPPING
        self.stage.close(self.session)
        self.forwarder.closed(self.session)

    def take(self, id: int, route: str = SEND, body: bytes = b"{}") -> None:  # noqa: A002
        self.forwarder.take(self.session, Message(id, REQUEST, route, body))

    def sent_to(self, server: str) -> list[int]:
        """The message ids that a server was sent, in order."""
        return [sent.message_id for sent in self.client.sent if sent.server == server]

    @property
    def answers(self) -> list[tuple[int, Any]]:
        """What the client was answered: ids and bodies."""
        return [(id, msgspec.json.decode(body)) for id, body in self.raw_answers]  # noqa: A001

    @property
    def raw_answers(self) -> list[tuple[int, bytes]]:
        """The same as bytes."""
        found = []
        for data in connection_of(self.session).writes:
            start = {126: 4, 127: 10}.get(data[1], 2)
            for package in packages(data[start:], MAX_BODY):
                message = decode(package.body, NO_ROUTES)
                assert message.type is RESPONSE
                found.append((message.id, message.body))
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


# Lanes: what one session asks of one server type stays in order


def test_what_is_meant_for_another_server_waits_for_the_first_ones_answers(desk: Desk) -> None:
    desk.take(1)
    desk.take(2)
    desk.picked = "chat-server-2"
    desk.take(3)
    desk.take(4)
    assert (desk.sent_to("chat-server-1"), desk.sent_to("chat-server-2")) == ([1, 2], [])
    desk.client.sent[1].reply()
    assert desk.sent_to("chat-server-2") == []
    desk.client.sent[0].reply()
    assert desk.sent_to("chat-server-2") == [3, 4]
    desk.take(5)
    assert desk.sent_to("chat-server-2") == [3, 4, 5]
    assert desk.session.in_flight == {3, 4, 5}
    assert desk.forwarder.counters["held"] == 2


def test_held_requests_go_as_far_as_they_go_to_one_server(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    for number in (2, 3, 4):
        desk.take(number)
    picks = iter(["chat-server-2", "chat-server-2", "chat-server-3", "chat-server-3"])
    desk.pick = lambda: next(picks)
    desk.client.sent[0].reply()
    assert desk.sent_to("chat-server-2") == [2, 3]
    assert desk.sent_to("chat-server-3") == []
    desk.client.sent[1].fail(504, "late")
    desk.client.sent[2].reply()
    assert desk.sent_to("chat-server-3") == [4]


def test_a_server_that_is_meant_again_still_takes_them_in_order(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2)
    desk.picked = "chat-server-1"
    desk.take(3)
    assert desk.sent_to("chat-server-1") == [1]
    desk.client.sent[0].reply()
    assert desk.sent_to("chat-server-1") == [1, 2, 3]


def test_sessions_and_server_types_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2, "area.areaHandler.look")
    first, desk.session = desk.session, desk.stage.open()
    desk.take(3)
    desk.session = first
    assert desk.sent_to("chat-server-2") == [2, 3]


def test_a_notify_waits_but_nothing_waits_for_it(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(0)
    assert desk.sent_to("chat-server-2") == []
    desk.client.sent[0].reply()
    assert desk.sent_to("chat-server-2") == [0]
    assert desk.client.sent[-1].kind == NOTIFY
    desk.picked = "chat-server-3"
    desk.take(2)
    assert desk.sent_to("chat-server-3") == [2]


def test_what_is_held_counts_for_the_limit() -> None:
    desk = Desk(limit=2)
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2)
    desk.take(3)
    assert [(number, body["code"]) for number, body in desk.answers] == [(3, 429)]


def test_a_held_request_means_what_it_meant_when_it_came(desk: Desk) -> None:
    desk.session.push({"rid": "lobby"})
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2)
    desk.session.push({"rid": "den"})
    desk.client.sent[0].reply()
    assert decode_snapshot(desk.client.sent[1].session).settings == {"rid": "lobby"}


def test_the_time_of_a_held_request_runs_from_when_it_came(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2)
    desk.forwarder.tick(102.0)
    desk.take(3)
    desk.client.sent[0].reply()
    assert [sent.budget for sent in desk.client.sent] == [5.0, 3.0, 5.0]


def test_what_was_held_too_long_is_answered(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2)
    desk.take(0)
    desk.forwarder.tick(104.9)
    desk.take(3)
    assert desk.answers == []
    desk.forwarder.tick(105.0)
    text = "earlier requests were not answered in time"
    assert desk.answers == [(2, {"code": 503, "error": text, "retry": True})]
    assert (desk.session.requests, desk.session.in_flight) == (2, {1, 3})
    assert desk.forwarder.counters["held_overdue"] == 2
    desk.client.sent[0].fail(504, "late")
    assert desk.sent_to("chat-server-2") == [3]


def test_what_no_router_wants_any_more_is_answered(desk: Desk, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.session", f"{SEND}: no server could be picked")
    desk.take(1)
    desk.picked = "chat-server-2"
    for number in (2, 3, 4):
        desk.take(number)
    picks: list[str | Exception] = [
        RequestError("leave first"),
        TypeError("secret"),
        "chat-server-3",
    ]
    desk.pick = lambda: picks.pop(0)
    desk.client.sent[0].reply()
    assert [(number, body.get("error")) for number, body in desk.answers] == [
        (1, None),
        (2, "leave first"),
        (3, "internal error"),
    ]
    assert desk.sent_to("chat-server-3") == [4]


def test_a_closed_session_drops_what_it_has_held(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2)
    desk.close()
    desk.client.sent[0].reply()
    desk.forwarder.tick(200.0)
    assert (desk.sent_to("chat-server-2"), desk.answers) == ([], [])
    assert desk.forwarder.counters["held_dropped"] == 1


def test_a_session_that_ends_by_an_answer_sends_no_more(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2)
    desk.take(3)

    def pick() -> str:
        desk.close()
        raise RequestError("leave first")

    desk.pick = pick
    desk.client.sent[0].reply()
    assert desk.sent_to("chat-server-2") == []


# Servers that are taken out of servers.json


def test_retried_requests_of_a_server_that_is_gone_go_to_another_in_order(desk: Desk) -> None:
    desk.take(1)
    desk.take(2)
    desk.take(3)
    desk.client.sent[1].reply()
    desk.picked = "chat-server-2"
    desk.take(4)
    desk.client.disconnect("chat-server-1")
    desk.take(5)
    assert desk.sent_to("chat-server-2") == []
    desk.forwarder.repick()
    assert desk.sent_to("chat-server-2") == [1, 3, 4, 5]
    assert [number for number, _ in desk.answers] == [2]
    for sent in desk.client.sent[3:]:
        sent.reply()
    assert [number for number, _ in desk.answers] == [2, 1, 3, 4, 5]
    assert (desk.session.requests, desk.session.in_flight) == (0, None)
    assert desk.forwarder.counters["sent_again"] == 2


def test_other_requests_of_a_server_that_is_gone_fail(desk: Desk) -> None:
    desk.take(1, "chat.chatHandler.other")
    desk.take(2)
    desk.picked = "chat-server-2"
    desk.take(3, "chat.chatHandler.other")
    desk.client.disconnect("chat-server-1")
    desk.forwarder.repick()
    assert [(number, body["code"]) for number, body in desk.answers] == [(1, 503)]
    assert desk.sent_to("chat-server-2") == [2, 3]


def test_the_tick_sends_again_what_found_no_server(desk: Desk) -> None:
    desk.picked = "chat-server-9"
    desk.take(1)
    desk.take(2)
    desk.forwarder.repick()
    assert desk.answers == []
    desk.client.peers.add("chat-server-9")
    desk.client.sent.clear()
    desk.forwarder.tick(101.0)
    assert desk.sent_to("chat-server-9") == [1, 2]
    assert [sent.budget for sent in desk.client.sent] == [4.0, 4.0]


def test_what_could_not_be_sent_again_in_time_is_answered_with_why(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-9"
    desk.client.disconnect("chat-server-1")
    desk.forwarder.tick(101.0)
    desk.forwarder.tick(105.0)
    assert desk.answers == [(1, {"code": 503, "error": "no server chat-server-9", "retry": True})]
    desk.forwarder.tick(300.0)
    assert len(desk.answers) == 1


def test_what_may_have_been_done_is_not_refused_by_a_router(desk: Desk) -> None:
    desk.take(1)
    desk.client.disconnect("chat-server-1")
    desk.picked = RequestError("enter first")
    desk.forwarder.repick()
    ((_, body),) = desk.answers
    assert body["error"] == "lost the link to chat-server-1"


def test_nothing_is_sent_again_for_a_closed_session(desk: Desk) -> None:
    desk.take(1)
    desk.close()
    desk.picked = "chat-server-2"
    desk.client.disconnect("chat-server-1")
    desk.forwarder.tick(101.0)
    assert desk.sent_to("chat-server-2") == []
    assert desk.session.requests == 0


def test_a_failure_of_a_server_that_is_still_there_is_final(desk: Desk) -> None:
    desk.take(1)
    desk.picked = "chat-server-2"
    desk.take(2)
    desk.client.sent[0].fail(503, "too much is waiting for chat-server-1")
    assert [number for number, _ in desk.answers] == [1]
    assert desk.sent_to("chat-server-2") == [2]


def test_failures_are_written_by_the_schema_of_the_route(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.session", "request 3 of session 1: a package body holds at most")
    answers = {SEND: {"optional uInt32 code": 1, "optional string error": 2}, ENTER: {}}
    protos = Protos(parse(answers).messages)
    desk = Desk(limit=1, dialect=Dialect(protos=protos))
    desk.take(1)
    desk.take(2)
    desk.client.sent[0].fail(503, "away")
    desk.take(3, ENTER)
    desk.local[0][2](b"x" * (MAX_BODY + 1))
    desk.picked = ValueError("a router's bug")
    expected_logs("zchat.session", "no server could be picked")
    desk.take(4)
    read = protos.at_client.decode
    assert [(id, read(SEND, body)) for id, body in desk.raw_answers if id != 3] == [  # noqa: A001
        (2, {"code": 429, "error": "too many requests at once"}),
        (1, {"code": 503, "error": "away"}),
        (4, {"code": 500, "error": "internal error"}),
    ]
    assert (3, b"") in desk.raw_answers


def test_requests_and_answers_are_rewritten_where_clients_have_no_schemas() -> None:
    asked, answered = {SEND: {"required string text": 1}}, {SEND: {"optional uInt32 code": 1}}
    protos = Protos(parse(answered).messages, parse(asked).messages)
    desk = Desk(dialect=Dialect(protos=protos, schemas=False))
    desk.take(1, body=b'{"text":"hi"}')
    desk.take(2, body=b'{"text":1}')
    (sent,) = desk.client.sent
    assert protos.at_server.decode(SEND, sent.body) == {"text": "hi"}
    sent.reply(protos.at_server.encode(SEND, {"code": 200}))
    refused, fine = desk.raw_answers
    assert refused == (2, b'{"code":400}')  # all that this route's answers can carry
    assert fine == (1, b'{"code":200}')
    assert desk.session.requests == 0
