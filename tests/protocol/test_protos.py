from __future__ import annotations

import datetime
import json
from typing import Any

import msgspec
import pytest

from tests.protocol.vectors import frames
from zchat.errors import ProtocolError
from zchat.protocol.misfit import Misfit
from zchat.protocol.protos import NO_PROTOS, Protos
from zchat.protocol.schema import parse

SERVER = parse(
    {
        "onPb": {"required string msg": 1, "optional uInt32 n": 2},
        "connector.h.pbresp": {"required string msg": 1, "optional uInt32 code": 2},
    }
).messages
CLIENT = parse({"connector.h.pbreq": {"required string s": 1, "optional uInt32 n": 2}}).messages
PROTOS = Protos(SERVER, CLIENT)


def recorded(scenario: str) -> dict[str, Any]:
    """`sys.protos` of a live server."""
    answer = frames(scenario)[1]["text"]
    protos: dict[str, Any] = json.loads(answer.removeprefix("handshake "))["sys"]["protos"]
    return protos


def test_as_a_live_server_sends_them() -> None:
    told = recorded("handshake: full options, first contact")
    assert json.dumps(PROTOS.as_wire()) == json.dumps(told)
    assert PROTOS.version == "yBWyRL4VIxktJeKtF2Qm5w=="


def test_the_tutorials_version() -> None:
    fields = {"required string msg": 1, "required string from": 2, "required string target": 3}
    protos = Protos(parse({"onChat": fields}).messages)
    assert protos.as_wire() == recorded("chat tutorial: send without entering")


def test_the_same_at_the_other_end() -> None:
    here, there = PROTOS.at_server, Protos.from_wire(PROTOS.as_wire()).at_client
    assert there.decode("onPb", here.encode("onPb", {"msg": "hé", "n": 5})) == {"msg": "hé", "n": 5}
    asked = there.encode("connector.h.pbreq", {"s": "a"})
    assert asked == b"\x0a\x01a"
    assert here.decode("connector.h.pbreq", asked) == {"s": "a"}


def test_other_routes_are_json_at_both_ends() -> None:
    for codec in (PROTOS.at_server, PROTOS.at_client, NO_PROTOS.at_client):
        assert codec.encode("other", {"a": 1}) == b'{"a":1}'
        assert codec.decode("other", b'{"a":1}') == {"a": 1}
        with pytest.raises(ProtocolError, match="not JSON"):
            codec.decode("other", b"")


def test_a_route_has_one_schema_each_way() -> None:
    assert PROTOS.at_server.encode("connector.h.pbreq", {"s": "a"}) == b'{"s":"a"}'
    assert PROTOS.at_client.encode("onPb", {"n": 1}) == b'{"n":1}'


class When(msgspec.Struct):
    """What handlers return as well."""

    msg: datetime.date


def test_values_are_what_json_would_make_of_them() -> None:
    data = PROTOS.at_server.encode("onPb", When(datetime.date(2024, 5, 6)))
    assert PROTOS.at_client.decode("onPb", data) == {"msg": "2024-05-06"}
    with pytest.raises(TypeError):
        PROTOS.at_server.encode("onPb", {"msg": object()})


def test_failures_say_what_the_schema_can_carry() -> None:
    failure = {"code": 500, "error": "internal error"}
    answers = Protos(parse({"r": {"optional uInt32 code": 1}, "s": {}}).messages).at_server
    assert answers.failure("r", failure) == b"\x08\xf4\x03"
    assert answers.failure("s", failure) == b""
    assert answers.failure("json", failure) == b'{"code":500,"error":"internal error"}'
    assert PROTOS.at_server.failure("connector.h.pbresp", failure) == b""
    assert answers.failure("r", {"code": "x"}) == b""
    assert answers.failure("r", {"code": object()}) == b""


def test_empty_ones_make_clients_forget() -> None:
    assert NO_PROTOS.as_wire() == {"server": {}, "client": {}, "version": 0}
    assert not NO_PROTOS
    assert not Protos.from_wire(NO_PROTOS.as_wire())
    assert NO_PROTOS.version == ""


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"server": {}, "client": {}},
        {"server": [], "client": {}, "version": "v"},
        {"server": {"r": 5}, "client": {}, "version": "v"},
        {"server": {"r": {"f": {"option": "?", "type": "string", "tag": 1}}}, "client": {}}
        | {"version": "v"},
    ],
)
def test_what_is_no_protos(told: Any) -> None:
    with pytest.raises(ProtocolError, match="the server's protos"):
        Protos.from_wire(told)


def test_a_misfit_names_its_field() -> None:
    with pytest.raises(Misfit, match="n: expected an integer"):
        PROTOS.at_server.encode("onPb", {"msg": "", "n": []})
