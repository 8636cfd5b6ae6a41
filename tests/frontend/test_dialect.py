"""What clients get and say whose frontend has told them nothing of the cluster's codes, schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.logs import ExpectedLogs
from zchat.errors import BadRequest
from zchat.frontend.dialect import Dialect
from zchat.frontend.sockets.frames import frame
from zchat.protocol import message
from zchat.protocol.dictionary import EMPTY, RouteDictionary
from zchat.protocol.message import Message, MessageType, data_push
from zchat.protocol.package import HEADER
from zchat.protocol.protos import NO_PROTOS, Protos
from zchat.protocol.schema import parse

SEND = "chat.chatHandler.send"
CODES = RouteDictionary([SEND], ["onChat"])
SCHEMAS = Protos(
    parse({"onChat": {"required string msg": 1}, SEND: {"optional uInt32 code": 1}}).messages,
    parse({SEND: {"required string text": 1, "optional uInt32 n": 2}}).messages,
)
CHAT = {"msg": "hello \U0001f600"}
PUSH = data_push("onChat", SCHEMAS.at_server.encode("onChat", CHAT), CODES)


def asked(body: bytes, route: str = SEND) -> Message:
    return Message(7, MessageType.REQUEST, route, body)


def read(package: bytes, dictionary: RouteDictionary = EMPTY) -> tuple[str, bytes]:
    """Route and body of a push."""
    found = message.decode(package, dictionary, HEADER)
    assert found.type is MessageType.PUSH
    return found.route, found.body


@pytest.mark.parametrize(
    ("dictionary", "protos", "codes", "schemas", "whole"),
    [
        (CODES, SCHEMAS, True, True, True),
        (CODES, SCHEMAS, False, True, False),
        (CODES, SCHEMAS, True, False, False),
        (EMPTY, NO_PROTOS, False, False, True),
        (CODES, NO_PROTOS, True, False, True),
        (CODES, NO_PROTOS, False, False, False),
    ],
)
def test_nothing_is_rewritten_where_nothing_is_kept_back(
    dictionary: RouteDictionary, protos: Protos, codes: bool, schemas: bool, whole: bool
) -> None:
    dialect = Dialect(dictionary, protos, codes=codes, schemas=schemas)
    assert dialect.is_whole is whole
    assert bool(dialect.dictionary) is (codes and bool(dictionary))
    assert bool(dialect.protos) is (schemas and bool(protos))


def test_a_push_without_codes_and_schemas() -> None:
    dialect = Dialect(CODES, SCHEMAS, codes=False, schemas=False)
    route, body = read(dialect.push(PUSH))
    assert route == "onChat"
    assert json.loads(body) == CHAT
    assert body.isascii()  # an emoji is an escape, which every client reads
    assert dialect.framed(PUSH) == frame(dialect.push(PUSH))


def test_a_push_without_codes_keeps_its_schema() -> None:
    dialect = Dialect(CODES, SCHEMAS, codes=False)
    route, body = read(dialect.push(PUSH))
    assert (route, SCHEMAS.at_client.decode(route, body)) == ("onChat", CHAT)


def test_a_push_without_schemas_keeps_its_code() -> None:
    dialect = Dialect(CODES, SCHEMAS, schemas=False)
    pushed = dialect.push(PUSH)
    assert pushed[HEADER] & 1
    route, body = read(pushed, CODES)
    assert (route, json.loads(body)) == ("onChat", CHAT)


def test_what_nobody_is_sent_stays_empty() -> None:
    """As a publication in the journal that no schema of now can write."""
    dialect = Dialect(CODES, SCHEMAS, codes=False)
    assert dialect.push(b"") == dialect.framed(b"") == b""


@pytest.mark.parametrize(
    "package",
    [
        PUSH[:HEADER],
        data_push("onChat", b"\x7a\x01", CODES),
        data_push("onChat", b"\x0a\x09", CODES),
    ],
)
def test_a_push_that_cannot_be_read_is_left_out(
    package: bytes, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.session", "what another server wrote on .* cannot be read")
    dialect = Dialect(CODES, SCHEMAS, codes=False, schemas=False)
    assert dialect.push(package) == dialect.framed(package) == b""
    assert dialect.counters == {"unreadable": 2}


@pytest.mark.parametrize(("body", "said"), [(b"", {}), (b"\x08\xf4\x03", {"code": 500})])
def test_an_answer_without_its_schema(body: bytes, said: dict[str, Any]) -> None:
    dialect = Dialect(CODES, SCHEMAS, schemas=False)
    assert json.loads(dialect.answer(SEND, body)) == said
    assert dialect.answer("a.b.c", b'{"as":"it is"}') == b'{"as":"it is"}'
    assert Dialect(CODES, SCHEMAS, codes=False).answer(SEND, body) == body


def test_an_answer_that_cannot_be_read_is_a_failure(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.session", f"what another server wrote on {SEND} cannot be read")
    dialect = Dialect(CODES, SCHEMAS, schemas=False)
    assert json.loads(dialect.answer(SEND, b"\x08"))["code"] == 500


def test_a_request_without_its_schema() -> None:
    dialect = Dialect(CODES, SCHEMAS, schemas=False)
    meant = dialect.request(asked(b'{"text":"hi","n":3,"more":1}'))
    assert (meant.id, meant.type, meant.route) == (7, MessageType.REQUEST, SEND)
    assert SCHEMAS.at_server.decode(SEND, meant.body) == {"text": "hi", "n": 3}
    other = asked(b"anything", "a.b.c")
    assert dialect.request(other) is other
    written = asked(meant.body)
    assert Dialect(CODES, SCHEMAS, codes=False).request(written) is written


@pytest.mark.parametrize(
    ("body", "path"),
    [(b"", "text"), (b'{"text":"a","n":-1}', "n"), (b"[1]", ""), (b"{", ""), (b"null", "")],
)
def test_a_request_that_does_not_fit_says_where(body: bytes, path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Dialect(CODES, SCHEMAS, schemas=False).request(asked(body))
    assert caught.value.body().get("path", "") == path
