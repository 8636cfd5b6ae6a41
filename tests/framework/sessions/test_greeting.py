"""What clients are told first, by the application and by settings.toml."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zchat.config.settings import Settings
from zchat.framework.sessions import greeting
from zchat.framework.sessions.entrance import Entrance, Handshake
from zchat.framework.sessions.wire import Wire
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.handshake import HandshakeError, HandshakeRequest, ServerHandshake
from zchat.protocol.protos import Protos
from zchat.protocol.schema import parse

WIRE = Wire(
    RouteDictionary(["area.h.ask"], ["onB"]),
    Protos(parse({"onB": {"required string s": 1}}).messages),
)


def settings(heartbeat: int = 17) -> Settings:
    plain = Settings()
    return replace(plain, client=replace(plain.client, heartbeat=heartbeat))


def greeted(entrance: Entrance) -> ServerHandshake:
    return greeting.handshake(entrance, greeting.dialect(entrance.told, WIRE), settings())


def test_without_a_word_clients_are_told_all_that_the_cluster_has() -> None:
    handshake = greeted(Entrance())
    assert (handshake.heartbeat, handshake.limit) == (17, Settings().limits.message_bytes)
    assert (handshake.dictionary, handshake.protos) == WIRE
    assert not handshake.asks


@pytest.mark.parametrize(("said", "heartbeat"), [(None, 17), (3, 3), (0, None)])
def test_the_application_may_choose_the_heartbeat(said: int | None, heartbeat: int | None) -> None:
    entrance = Entrance()
    entrance.handshake(heartbeat=said)
    assert greeted(entrance).heartbeat == heartbeat


def test_the_application_may_keep_codes_and_schemas_to_the_servers() -> None:
    entrance = Entrance()
    entrance.handshake(dictionary=False, protos=False)
    handshake = greeted(entrance)
    assert handshake.dictionary.code("onB") is None
    assert not handshake.protos


def test_who_may_come_in_is_asked() -> None:
    entrance = Entrance()
    entrance.check_client(lambda kind, version: kind == "new")

    @entrance.authenticate
    async def who(handshake: Handshake) -> str:
        return "alice"

    handshake = greeted(entrance)
    assert handshake.asks
    handshake.check(HandshakeRequest("new", "1"))
    with pytest.raises(HandshakeError):
        handshake.check(HandshakeRequest("old", "1"))
