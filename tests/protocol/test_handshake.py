from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.vectors import frames, scenarios
from zchat.errors import ProtocolError
from zchat.protocol import package
from zchat.protocol.dictionary import EMPTY, RouteDictionary
from zchat.protocol.handshake import (
    HandshakeError,
    HandshakeRequest,
    HandshakeResponse,
    ServerHandshake,
    refusal,
)
from zchat.protocol.protos import Protos
from zchat.protocol.schema import parse

DICTIONARY = RouteDictionary(["chat.chatHandler.send"], ["onChat"])
BROWSER = HandshakeRequest(client_type="js-websocket", version="0.0.1")
RESET = {"server": {}, "client": {}, "version": 0}


def answer_of(handshake: ServerHandshake, request: HandshakeRequest) -> dict[str, Any]:
    (answered,) = package.decode(handshake.answer(request))
    assert answered.type is package.HANDSHAKE
    decoded: dict[str, Any] = json.loads(answered.body)
    assert decoded["code"] == 200
    return decoded


def body_of(scenario: str) -> bytes:
    """The body of the handshake that opens a recorded conversation."""
    (request,) = package.decode(bytes.fromhex(frames(scenario)[0]["hex"]))
    return request.body


def test_request_of_the_browser_client() -> None:
    body = body_of("handshake: full options, first contact")
    assert HandshakeRequest.from_body(body) == HandshakeRequest(
        client_type="js-websocket", version="0.0.1", user={}
    )


def test_request_that_names_versions() -> None:
    request = HandshakeRequest.from_body(body_of("handshake: user handshake callback returns data"))
    assert request == HandshakeRequest(
        client_type="t",
        version="1",
        dict_version="DCY7Awb2HtzvATDMK/IHyQ==",
        proto_version="yBWyRL4VIxktJeKtF2Qm5w==",
        user={"n": 1},
    )


@pytest.mark.parametrize(
    "scenario",
    [
        "handshake: no sys member",
        "handshake: body is not JSON",
        "handshake: empty body",
        "handshake: body is JSON null",
    ],
)
def test_requests_refused_with_500(scenario: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        HandshakeRequest.from_body(body_of(scenario))
    assert refusal(caught.value.code).hex() == frames(scenario)[1]["hex"]


@pytest.mark.parametrize("system", ["null", "0", "false", '""'])
def test_falsy_sys_is_refused(system: str) -> None:
    with pytest.raises(HandshakeError, match="500: no member sys"):
        HandshakeRequest.from_body(b'{"sys":%b}' % system.encode())


@pytest.mark.parametrize("system", ["{}", "[]", "1", '"x"', "true", '{"type":7,"version":[]}'])
def test_truthy_sys_is_enough(system: str) -> None:
    assert HandshakeRequest.from_body(b'{"sys":%b}' % system.encode()) == HandshakeRequest()


def test_versions_that_are_no_strings_match_nothing() -> None:
    body = b'{"sys":{"dictVersion":%b,"protoVersion":[[]]}}' % (b"9" * 300)
    request = HandshakeRequest.from_body(body)
    assert (request.dict_version, request.proto_version) == ("?", "?")


def test_request_round_trip() -> None:
    request = HandshakeRequest("t", "1", "p", "d", {"n": 1})
    assert HandshakeRequest.from_body(request.as_body()) == request
    assert json.loads(HandshakeRequest("t").as_body()) == {"sys": {"type": "t"}}


def test_answer_without_options_is_the_references() -> None:
    recorded = frames("handshake: server without any option")[1]["hex"]
    assert ServerHandshake(heartbeat=None).answer(BROWSER).hex() == recorded


def test_answer_with_dictionary() -> None:
    system = answer_of(ServerHandshake(heartbeat=3, dictionary=DICTIONARY), BROWSER)["sys"]
    codes = {"chat.chatHandler.send": 1, "onChat": 2}
    assert system == {
        "heartbeat": 3,
        "dict": codes,
        "routeToCode": codes,
        "codeToRoute": {"1": "chat.chatHandler.send", "2": "onChat"},
        "dictVersion": DICTIONARY.version,
        "useDict": True,
    }


def test_dictionary_is_left_out_only_when_the_version_matches() -> None:
    handshake = ServerHandshake(heartbeat=3, dictionary=DICTIONARY)
    known = HandshakeRequest(dict_version=DICTIONARY.version)
    assert answer_of(handshake, known)["sys"] == {"heartbeat": 3, "useDict": True}
    for version in (DICTIONARY.version.lower(), DICTIONARY.version + "=", "?"):
        assert "dict" in answer_of(handshake, HandshakeRequest(dict_version=version))["sys"]


def test_empty_dictionary_is_not_mentioned() -> None:
    request = HandshakeRequest(dict_version=DICTIONARY.version)
    assert answer_of(ServerHandshake(heartbeat=3), request)["sys"] == {"heartbeat": 3}


def test_protos_of_another_server_are_reset() -> None:
    handshake = ServerHandshake(heartbeat=None)
    foreign = HandshakeRequest.from_body(b'{"sys":{"protoVersion":"yBWyRL4V"}}')
    assert answer_of(handshake, foreign)["sys"] == {"protos": RESET}
    for none in (b"0", b'""', b"null"):
        request = HandshakeRequest.from_body(b'{"sys":{"protoVersion":%b,"a":1}}' % none)
        assert answer_of(handshake, request)["sys"] == {}


def test_answers_are_built_once_per_variant() -> None:
    handshake = ServerHandshake(dictionary=DICTIONARY)
    assert handshake.answer(BROWSER) is handshake.answer(HandshakeRequest("other"))
    assert handshake.answer(BROWSER) is not handshake.answer(HandshakeRequest(proto_version="x"))


def test_what_the_application_says_to_a_client() -> None:
    handshake = ServerHandshake(heartbeat=None)
    (told,) = package.decode(handshake.answer(BROWSER, {"hello": 1}))
    assert json.loads(told.body) == {"code": 200, "sys": {}, "user": {"hello": 1}}
    assert "user" not in answer_of(handshake, BROWSER)
    assert handshake.answer(BROWSER, {}) is handshake.answer(BROWSER)


def test_unfit_clients() -> None:
    handshake = ServerHandshake(check_client=lambda kind, version: (kind, version) != ("old", "0"))
    with pytest.raises(HandshakeError, match="501: client type 'old', version '0'") as caught:
        handshake.check(HandshakeRequest("old", "0", user=1))
    recorded = frames("handshake: sys.type refused by checkClient")[1]["hex"]
    assert refusal(caught.value.code).hex() == recorded
    handshake.check(HandshakeRequest("old", "1"))


@pytest.mark.parametrize("heartbeat", [0, -1, 1.5, 3.0, True])
def test_heartbeat_must_be_whole_seconds(heartbeat: Any) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        ServerHandshake(heartbeat=heartbeat)


@pytest.mark.parametrize("limit", [0, 2**24])
def test_limit_must_be_possible(limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        ServerHandshake(limit=limit)


def test_client_reads_the_answer_of_a_live_server() -> None:
    text = frames("handshake: full options, first contact")[1]["text"]
    response = HandshakeResponse.from_body(text.removeprefix("handshake ").encode(), EMPTY)
    assert (response.code, response.heartbeat, response.user) == (200, 3, {"hello": {}})
    assert response.dictionary.version == "DCY7Awb2HtzvATDMK/IHyQ=="
    assert response.dictionary.code("onPush") == 109


@pytest.mark.parametrize(
    ("system", "dictionary"),
    [({"useDict": True}, DICTIONARY), ({}, EMPTY), ({"dict": {}}, None)],
)
def test_client_goes_on_with_its_dictionary_only_if_told(
    system: dict[str, Any], dictionary: RouteDictionary | None
) -> None:
    body = json.dumps({"code": 200, "sys": system}).encode()
    read = HandshakeResponse.from_body(body, DICTIONARY).dictionary
    assert (read is dictionary) if dictionary is not None else not read


def test_client_reads_refusals() -> None:
    assert HandshakeResponse.from_body(b'{"code":501}', EMPTY) == HandshakeResponse(501)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"code":"200"}',
        b'{"code":true}',
        b'{"code":200}',
        b'{"code":200,"sys":[]}',
        b'{"code":200,"sys":{"dict":{"a":"1"}}}',
    ],
)
def test_client_refuses_malformed_answers(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        HandshakeResponse.from_body(body, EMPTY)


@pytest.mark.parametrize("heartbeat", ["null", "0", "-3", '"3"', "true", "1e300"])
def test_client_takes_odd_heartbeats_for_none(heartbeat: str) -> None:
    body = b'{"code":200,"sys":{"heartbeat":%b}}' % heartbeat.encode()
    assert HandshakeResponse.from_body(body, EMPTY).heartbeat is None


scalars: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({})
)
members = st.sampled_from(
    ["type", "version", "dictVersion", "protoVersion", "dict", "useDict", "heartbeat"]
)
systems = scalars | st.dictionaries(members, scalars | st.dictionaries(st.text(), scalars))
bodies = st.fixed_dictionaries(
    {}, optional={"sys": systems, "user": scalars, "code": st.just(200) | scalars}
)


@given(bodies)
def test_any_object_as_request_or_answer(body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    try:
        request = HandshakeRequest.from_body(data)
    except HandshakeError:
        user = body.get("user")
        large = isinstance(user, int) and not -(2**63) <= user < 2**64
        assert large or not isinstance(body.get("sys"), dict)
    else:
        assert answer_of(ServerHandshake(dictionary=DICTIONARY), request)
    try:
        response = HandshakeResponse.from_body(data, DICTIONARY)
    except ProtocolError:
        return
    assert response.code == body["code"]


PROTOS = Protos(parse({"onChat": {"required string msg": 1}}).messages)


def test_protos_are_sent_to_whom_keeps_others_or_none() -> None:
    handshake = ServerHandshake(heartbeat=None, protos=PROTOS)
    told = {"protos": PROTOS.as_wire(), "useProto": True}
    assert answer_of(handshake, BROWSER)["sys"] == told
    for version in ("?", PROTOS.version.lower(), PROTOS.version + "="):
        assert answer_of(handshake, HandshakeRequest(proto_version=version))["sys"] == told
    kept = HandshakeRequest(proto_version=PROTOS.version)
    assert answer_of(handshake, kept)["sys"] == {"useProto": True}


@pytest.mark.parametrize(
    "scenario",
    [
        "handshake: full options, first contact",
        "handshake: dictVersion and protoVersion match",
        "handshake: protoVersion matches, no dictVersion",
    ],
)
def test_answers_of_a_live_server_with_all_options(scenario: str) -> None:
    told = "handshake: full options, first contact"
    scenario = next(name for name in scenarios() if name.startswith(scenario))
    recorded = json.loads(frames(told)[1]["text"].removeprefix("handshake "))["sys"]
    pushes = ["onPush", "onUnicode", "area.h.extra"]
    dictionary = RouteDictionary([r for r in recorded["dict"] if r not in pushes], pushes)
    protos = Protos.from_wire(recorded["protos"])
    handshake = ServerHandshake(heartbeat=3, dictionary=dictionary, protos=protos)
    answer = answer_of(handshake, HandshakeRequest.from_body(body_of(scenario)))
    wanted = json.loads(frames(scenario)[1]["text"].removeprefix("handshake "))
    wanted.pop("user", None)
    assert json.dumps(answer) == json.dumps(wanted)


def read_protos(system: dict[str, Any], kept: Protos = PROTOS) -> Protos:
    data = json.dumps({"code": 200, "sys": system}).encode()
    return HandshakeResponse.from_body(data, EMPTY, kept).protos


def test_a_client_uses_kept_protos_only_where_the_server_says_so() -> None:
    assert read_protos({"useProto": True}) is PROTOS
    assert not read_protos({})
    assert not read_protos({"protos": RESET})
    assert read_protos({"protos": PROTOS.as_wire(), "useProto": True}).version == PROTOS.version


def test_protos_that_make_no_sense_break_the_protocol() -> None:
    with pytest.raises(ProtocolError, match="the server's protos"):
        read_protos({"protos": {"server": 5}})
