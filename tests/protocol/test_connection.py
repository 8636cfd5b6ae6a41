from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.protocol.vectors import Case, cases, frames, identity
from zchat.errors import ProtocolError
from zchat.protocol import message, package
from zchat.protocol.connection import (
    CLOSED,
    INITED,
    WAIT_ACK,
    WORKING,
    ClientConnection,
    ServerConnection,
    State,
)
from zchat.protocol.dictionary import EMPTY, RouteDictionary
from zchat.protocol.events import (
    HandshakeAccepted,
    HandshakeAsked,
    HandshakeDone,
    HandshakeRefused,
    Heartbeat,
    Kicked,
    Push,
    Ready,
    Received,
    Response,
)
from zchat.protocol.handshake import HandshakeError, HandshakeRequest, ServerHandshake
from zchat.protocol.message import NOTIFY, REQUEST, Message
from zchat.protocol.package import DATA, HANDSHAKE, HANDSHAKE_ACK, HEARTBEAT, KICK
from zchat.protocol.protos import NO_PROTOS, Protos
from zchat.protocol.schema import parse

ROUTE = "chat.chatHandler.send"
DICTIONARY = RouteDictionary([ROUTE], ["onChat"])
CONFIG = ServerHandshake(heartbeat=3, dictionary=DICTIONARY, limit=1000)

SHAKE = package.encode(HANDSHAKE, HandshakeRequest("t", "1").as_body())
ACK = package.encode(HANDSHAKE_ACK)
BEAT = package.encode(HEARTBEAT)


def request(message_id: int, route: str = ROUTE, body: bytes = b"{}") -> bytes:
    return package.encode(DATA, message.encode_request(message_id, route, body, DICTIONARY))


def server(config: ServerHandshake = CONFIG) -> ServerConnection:
    """A server's connection with a client that has shaken hands."""
    connection = ServerConnection(config)
    connection.receive(SHAKE)
    connection.receive(ACK)
    connection.data_to_send()
    return connection


def client(**options: Any) -> tuple[ClientConnection, ServerConnection]:
    """A client that has shaken hands with a server."""
    ours, theirs = ClientConnection(**options), ServerConnection(CONFIG)
    theirs.receive(ours.data_to_send())
    ours.receive(theirs.data_to_send())
    theirs.receive(ours.data_to_send())
    return ours, theirs


def standing(connection: ServerConnection | ClientConnection) -> tuple[State, bool]:
    return connection.state, connection.send_allowed


def test_server_from_handshake_to_messages() -> None:
    connection = ServerConnection(CONFIG)
    assert standing(connection) == (INITED, False)
    assert connection.receive(SHAKE) == [HandshakeDone(HandshakeRequest("t", "1"))]
    assert connection.data_to_send() == CONFIG.answer(HandshakeRequest("t", "1"))
    assert connection.data_to_send() == b""
    assert standing(connection) == (WAIT_ACK, False)
    assert connection.receive(ACK) == [Ready()]
    assert connection.data_to_send() == BEAT  # or a browser never starts its own (wire 9.2)
    assert standing(connection) == (WORKING, True)
    assert connection.receive(BEAT) == [Heartbeat()]
    assert connection.data_to_send() == BEAT
    assert connection.receive(request(7)) == [Received(Message(7, REQUEST, ROUTE, b"{}"))]
    assert connection.data_to_send() == b""


def test_one_message_alone_is_read_without_events() -> None:
    connection = server()
    notify = package.encode(DATA, message.encode_notify(ROUTE, b"{}", DICTIONARY))
    assert connection.message(request(7)) == Message(7, REQUEST, ROUTE, b"{}")
    assert connection.message(notify) == Message(0, NOTIFY, ROUTE, b"{}")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BEAT,
        request(7) + request(8),
        request(7)[:-1],
        request(0),
        request(7, body=b"x" * 1000),
        package.encode(DATA),
        package.encode(DATA, b"\x00\x80"),
        package.encode(DATA, message.encode_push(ROUTE, b"{}", DICTIONARY)),
        package.encode(DATA, message.encode_response(7, b"{}")),
    ],
)
def test_anything_else_is_left_to_the_reading_of_packages(data: bytes) -> None:
    connection = server()
    assert connection.message(data) is None
    assert standing(connection) == (WORKING, True)
    assert ServerConnection(CONFIG).message(request(7)) is None


def test_several_packages_in_one_message() -> None:
    connection = ServerConnection(CONFIG)
    events = connection.receive(SHAKE + ACK + BEAT + request(1) + BEAT + request(2))
    assert [type(event) for event in events] == [
        HandshakeDone,
        Ready,
        Heartbeat,
        Received,
        Heartbeat,
        Received,
    ]
    assert connection.data_to_send() == CONFIG.answer(HandshakeRequest()) + BEAT


def test_a_message_full_of_heartbeats_is_answered_by_one() -> None:
    connection = server()
    assert connection.receive(BEAT * 250) == [Heartbeat()] * 250
    assert connection.data_to_send() == BEAT


def test_a_heartbeat_alone_may_be_answered_without_being_received() -> None:
    connection = server()
    assert connection.is_answered(BEAT)
    assert not connection.is_answered(BEAT + BEAT)
    assert not ServerConnection(CONFIG).is_answered(BEAT), "it has not shaken hands"
    assert not server(ServerHandshake(heartbeat=None)).is_answered(BEAT)
    connection.close()
    assert not connection.is_answered(BEAT)


def test_without_heartbeat_there_is_no_answer() -> None:
    connection = ServerConnection(ServerHandshake(heartbeat=None))
    connection.receive(SHAKE)
    connection.data_to_send()
    assert connection.receive(ACK) == [Ready()]
    assert connection.receive(BEAT) == []
    assert connection.data_to_send() == b""


# What each state ignores silently, connection kept (pomelo wire 10.1).
@pytest.mark.parametrize(
    ("before", "ignored"),
    [
        (b"", ACK),
        (b"", BEAT),
        (b"", request(1)),
        (SHAKE, SHAKE),
        (SHAKE, BEAT),
        (SHAKE, request(1)),
        (SHAKE + ACK, SHAKE),
        (SHAKE + ACK, ACK),
    ],
)
def test_packages_out_of_state_are_ignored(before: bytes, ignored: bytes) -> None:
    connection = ServerConnection(CONFIG)
    if before:
        connection.receive(before)
    connection.data_to_send()
    state = connection.state
    assert connection.receive(ignored) == []
    assert connection.state is state
    assert connection.data_to_send() == b""


@pytest.mark.parametrize("before", [b"", SHAKE, SHAKE + ACK])
@pytest.mark.parametrize("bad", [b"", b"\x00", b"\x06\0\0\0", BEAT + b"\x09", b"\x04\0\0\x09{}"])
def test_malformed_bytes_close_in_any_state(before: bytes, bad: bytes) -> None:
    connection = ServerConnection(CONFIG)
    if before:
        connection.receive(before)
    with pytest.raises(ProtocolError):
        connection.receive(bad)
    assert connection.state is CLOSED
    assert connection.receive(SHAKE + request(1)) == []


@pytest.mark.parametrize("before", [b"", SHAKE, SHAKE + ACK])
def test_kick_from_a_client_closes(before: bytes) -> None:
    connection = ServerConnection(CONFIG)
    with pytest.raises(ProtocolError, match="KICK package from a client"):
        connection.receive(before + package.encode(KICK, b"{}"))
    assert connection.state is CLOSED


@pytest.mark.parametrize("body", ["", "00", "0080", "000120616263", "00ffffffffffffffff7f0161"])
def test_malformed_messages_close(body: str) -> None:
    connection = server()
    with pytest.raises(ProtocolError):
        connection.receive(package.encode(DATA, bytes.fromhex(body)))
    assert connection.state is CLOSED


@pytest.mark.parametrize(
    "body", ["0485077b7d", "087b7d", "0a7b7d", "0c7b7d", "0e7b7d", "0b00017b7d"]
)
def test_message_types_that_clients_do_not_send_are_dropped(body: str) -> None:
    connection = server()
    assert connection.receive(package.encode(DATA, bytes.fromhex(body))) == []
    assert len(connection.receive(request(1))) == 1


@pytest.mark.parametrize("flag", [0x00, 0x02, 0x06])
def test_what_has_no_id_is_a_notify(flag: int) -> None:
    body = bytes((flag,)) + (b"\0" if flag == 0 else b"") + b"\x05a.b.c{}"
    events = server().receive(package.encode(DATA, body))
    assert events == [Received(Message(0, NOTIFY, "a.b.c", b"{}"))]


def test_limit_of_a_package() -> None:
    largest = request(1, body=b"x" * (1000 - 4))
    assert len(server().receive(largest)) == 1
    with pytest.raises(ProtocolError, match="1001 bytes; the limit is 1000"):
        server().receive(request(1, body=b"x" * (1000 - 3)))


def test_refused_handshake_is_answered_and_closes() -> None:
    connection = ServerConnection(ServerHandshake(check_client=lambda kind, version: False))
    with pytest.raises(HandshakeError, match="501"):
        connection.receive(SHAKE)
    assert connection.data_to_send() == package.encode(HANDSHAKE, b'{"code":501}')
    assert connection.state is CLOSED


def test_the_application_lets_a_client_in() -> None:
    connection = ServerConnection(ServerHandshake(heartbeat=3, asks=True))
    (asked,) = connection.receive(SHAKE)
    assert isinstance(asked, HandshakeAsked)
    assert connection.data_to_send() == b""
    assert connection.receive(SHAKE + ACK + request(1)) == []  # the first is still undecided
    connection.accept(asked.request, {"hello": 1})
    (told,) = package.decode(connection.data_to_send())
    assert json.loads(told.body)["user"] == {"hello": 1}
    connection.accept(asked.request, None)
    assert connection.data_to_send() == b""
    (ready,) = connection.receive(ACK)
    assert isinstance(ready, Ready)


def test_the_application_refuses_a_client() -> None:
    connection = ServerConnection(ServerHandshake(asks=True))
    connection.receive(SHAKE)
    connection.refuse(500)
    assert connection.data_to_send() == package.encode(HANDSHAKE, b'{"code":500}')
    assert connection.state is CLOSED
    connection.refuse(500)
    assert connection.data_to_send() == b""


def test_a_kick_carries_a_code_where_the_transport_has_none() -> None:
    connection = server()
    connection.kick("because", 4500)
    (told,) = package.decode(connection.data_to_send())
    assert json.loads(told.body) == {"reason": "because", "code": 4500}
    assert client()[0].receive(package.encode(KICK, told.body)) == [Kicked("because", 4500)]
    assert client()[0].receive(package.encode(KICK, b'{"code":"4500"}')) == [Kicked("")]


def test_kick_tells_the_reason() -> None:
    connection = server()
    connection.kick("because")
    recorded = frames('kick from the frontend {"how":"uid","uid":"k","reason":"because"}')[-2]
    assert connection.data_to_send().hex() == recorded["hex"]
    assert connection.state is CLOSED
    assert connection.receive(request(1)) == []


@pytest.mark.parametrize("before", [b"", SHAKE])
def test_kick_before_the_ack_says_nothing(before: bytes) -> None:
    connection = ServerConnection(CONFIG)
    if before:
        connection.receive(before)
    connection.data_to_send()
    connection.kick("because")
    assert connection.data_to_send() == b""
    assert connection.state is CLOSED


def test_close_forgets_what_was_to_send() -> None:
    connection = server()
    connection.receive(BEAT)
    connection.close()
    assert connection.data_to_send() == b""
    assert connection.receive(BEAT) == []


@pytest.mark.parametrize("case", cases("stream", "ws-to-server"), ids=identity)
def test_recorded_frames(case: Case) -> None:
    config = ServerHandshake()
    state = re.match(r"state (\w+):", case["name"])
    assert state is not None
    connection = server(config) if state[1] == "WORKING" else ServerConnection(config)
    events = []
    closed = False
    for frame in case["frames"]:
        try:
            events += connection.receive(bytes.fromhex(frame["hex"]))
        except ProtocolError:
            closed = True
    # The reference closes on a message with two packages; we handle both (wire 4.3, 22.1).
    wanted = {
        "dev-stream-017": ([Received, Heartbeat], False),
        "dev-stream-018": ([Received, Heartbeat], False),
        "dev-stream-019": ([Received], False),
        "dev-stream-020": ([], True),
        "dev-stream-021": ([], False),
    }
    assert ([type(event) for event in events], closed) == wanted[case["id"]]


def test_recorded_order_of_states() -> None:
    connection = ServerConnection(ServerHandshake(heartbeat=3))
    answered = []
    for frame in frames(
        "order: data, heartbeat, ack before the handshake; data before the ack; second ack; "
        "second handshake"
    ):
        if frame.get("dir") != "client":
            continue
        events = connection.receive(bytes.fromhex(frame["hex"]))
        answered += [event.message.id for event in events if isinstance(event, Received)]
    assert answered == [3, 4]


def test_client_from_handshake_to_messages() -> None:
    ours, theirs = ClientConnection(user={"n": 1}), ServerConnection(CONFIG)
    assert theirs.receive(ours.data_to_send()) == [
        HandshakeDone(HandshakeRequest("zchat-python", "1", user={"n": 1}))
    ]
    assert standing(ours) == (INITED, False)
    (accepted,) = ours.receive(theirs.data_to_send())
    assert isinstance(accepted, HandshakeAccepted)
    assert (accepted.heartbeat, accepted.user) == (3, None)
    assert accepted.dictionary.code("onChat") == 2
    assert standing(ours) == (WORKING, True)
    assert ours.data_to_send() == ACK
    assert theirs.receive(ACK) == [Ready()]
    assert ours.receive(theirs.data_to_send()) == [Heartbeat()]
    ours.beat()
    assert theirs.receive(ours.data_to_send()) == [Heartbeat()]


def test_client_reads_several_packages() -> None:
    ours, _ = client()
    events = ours.receive(
        message.data_response(1, b"{}")
        + message.data_push("onChat", b'{"a":1}', DICTIONARY)
        + message.data_push("onOther", b"{}", DICTIONARY)
        + BEAT
        + package.encode(KICK, b'{"reason":"bye"}')
        + message.data_response(2, b"{}")
    )
    assert events == [
        Response(1, b"{}"),
        Push("onChat", b'{"a":1}'),
        Push("onOther", b"{}"),
        Heartbeat(),
        Kicked("bye"),
    ]
    assert ours.state is CLOSED


def test_client_keeps_the_dictionary_over_connections() -> None:
    ours, _ = client()
    again, theirs = ClientConnection(dictionary=ours.dictionary), ServerConnection(CONFIG)
    theirs.receive(again.data_to_send())
    answer = theirs.data_to_send()
    assert b'"dict"' not in answer
    again.receive(answer)
    assert again.dictionary is ours.dictionary


def test_client_that_is_refused() -> None:
    ours = ClientConnection()
    assert ours.receive(package.encode(HANDSHAKE, b'{"code":501}')) == [HandshakeRefused(501)]
    assert ours.state is CLOSED
    assert ours.dictionary is EMPTY


@pytest.mark.parametrize(
    ("body", "reason"), [(b"", ""), (b"{}", ""), (b'"x"', ""), (b"[]", ""), (b'{"reason":7}', "")]
)
def test_client_that_is_kicked_without_a_reason(body: bytes, reason: str) -> None:
    assert client()[0].receive(package.encode(KICK, body)) == [Kicked(reason)]


@pytest.mark.parametrize(
    "data",
    [
        ACK,
        b"\x09",
        b"\x04\0\0\x09{}",
        package.encode(DATA),
        request(1),
        package.encode(DATA, b"\x02"),
    ],
)
def test_client_refuses_what_no_server_sends(data: bytes) -> None:
    ours, _ = client()
    with pytest.raises(ProtocolError):
        ours.receive(data)
    assert ours.state is CLOSED
    assert ours.receive(BEAT) == []


def test_client_ignores_messages_before_and_handshakes_after_the_handshake() -> None:
    ours = ClientConnection()
    assert ours.receive(message.data_response(1, b"{}")) == []
    ours, theirs = client()
    assert ours.receive(CONFIG.answer(HandshakeRequest())) == []
    assert theirs.receive(request(1))


hostile = st.one_of(
    st.binary(max_size=40),
    st.tuples(st.integers(0, 7), st.binary(max_size=40)).map(
        lambda item: bytes((item[0], 0, 0, len(item[1]))) + item[1]
    ),
    st.sampled_from(
        [SHAKE, ACK, BEAT, request(1), request(2**40), message.data_response(5, b"[]")]
    ),
    st.just(CONFIG.answer(HandshakeRequest())),
)


@given(st.lists(hostile, max_size=8), st.booleans())
@settings(max_examples=200)
def test_client_fed_anything(chunks: list[bytes], accepted: bool) -> None:
    ours = client()[0] if accepted else ClientConnection()
    for chunk in chunks:
        try:
            ours.receive(chunk)
        except ProtocolError:
            assert ours.state is CLOSED
        assert len(ours.data_to_send()) < 200


class AnyClient(RuleBasedStateMachine):
    """Any bytes in any order: only ProtocolError, states only move on, output stays bounded."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = ServerConnection(CONFIG)
        self.state = INITED

    @rule(chunks=st.lists(hostile, min_size=1, max_size=4))
    def receive(self, chunks: list[bytes]) -> None:
        before, data = self.connection.state, b"".join(chunks)
        try:
            events = self.connection.receive(data)
        except ProtocolError:
            assert self.connection.state is CLOSED
            return
        assert before is not CLOSED or events == []
        for event in events:
            if isinstance(event, Received):
                assert (event.message.id == 0) == (event.message.type is NOTIFY)

    @rule()
    def write(self) -> None:
        for item in package.decode(self.connection.data_to_send()):
            assert item.type in (HANDSHAKE, HEARTBEAT, KICK)

    @rule()
    def kick(self) -> None:
        self.connection.kick("x")

    @invariant()
    def moves_on(self) -> None:
        assert self.connection.state >= self.state
        self.state = self.connection.state

    @invariant()
    def says_little(self) -> None:
        assert len(self.connection._outgoing) < 1000


AnyClient.TestCase.settings = settings(max_examples=60, stateful_step_count=12)
TestAnyClient = AnyClient.TestCase


def test_both_ends_have_the_same_protos() -> None:
    protos = Protos(parse({"onPb": {"required string msg": 1}}).messages)
    config = ServerHandshake(heartbeat=3, protos=protos)
    kept = NO_PROTOS
    for sent in (True, False):
        client, server = ClientConnection(protos=kept), ServerConnection(config)
        server.receive(client.data_to_send())
        answer = server.data_to_send()
        assert (b"required" in answer) is sent
        (accepted,) = client.receive(answer)
        assert isinstance(accepted, HandshakeAccepted)
        assert accepted.protos is client.protos
        data = protos.at_server.encode("onPb", {"msg": "hi"})
        assert client.protos.at_client.decode("onPb", data) == {"msg": "hi"}
        kept = accepted.protos


def test_protos_of_another_server_are_not_used() -> None:
    kept = Protos(parse({"onPb": {"required string msg": 1}}).messages)
    client, server = ClientConnection(protos=kept), ServerConnection(ServerHandshake())
    server.receive(client.data_to_send())
    (accepted,) = client.receive(server.data_to_send())
    assert isinstance(accepted, HandshakeAccepted)
    assert not client.protos
