"""What an author says of clients that want to come in."""

from __future__ import annotations

import copy

import pytest

from tests.support.logs import ExpectedLogs
from zchat.framework.sessions.entrance import Entrance, Handshake, Told
from zchat.protocol.handshake import HandshakeError


def test_without_a_word_everybody_may_come_in() -> None:
    entrance = Entrance()
    assert entrance.allows(None, None)
    assert entrance.is_blocked is None
    assert entrance.authenticator is None


def test_words_stand_above_their_functions() -> None:
    entrance = Entrance()

    @entrance.check_client
    def check(client_type: str | None, version: str | None) -> bool:
        return client_type != "old"

    @entrance.authenticate
    async def who(handshake: Handshake) -> str:
        return str(handshake.user)

    @entrance.blocked
    def blocked(address: str) -> bool:
        return address == "192.0.2.1"

    assert entrance.allows("new", "1")
    assert not entrance.allows("old", "1")
    assert entrance.authenticator is who
    assert entrance.is_blocked is blocked
    assert check("x", None)


def test_a_copy_has_its_own_words() -> None:
    """Each server has a copy of the application, for which `configure` may say more."""
    entrance = Entrance()
    here = copy.copy(entrance)
    here.blocked(lambda address: True)
    assert entrance.is_blocked is None


def test_a_check_that_fails_refuses(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.app", "check_client failed")
    entrance = Entrance()
    entrance.check_client(lambda kind, version: 1 / 0 > 0)
    with pytest.raises(HandshakeError) as caught:
        entrance.allows("a", "b")
    assert caught.value.code == 500


def test_what_clients_are_told_is_one_servers_choice() -> None:
    entrance = Entrance()
    here = copy.copy(entrance)
    here.handshake(heartbeat=0, dictionary=False)
    assert here.told == Told(heartbeat=0, dictionary=False, protos=True)
    assert entrance.told == Told() == Told(heartbeat=None, dictionary=True, protos=True)


@pytest.mark.parametrize("heartbeat", [-1, 2.5, True])
def test_a_heartbeat_is_whole_seconds(heartbeat: int) -> None:
    with pytest.raises(ValueError, match="expected whole seconds, 0 or None"):
        Entrance().handshake(heartbeat=heartbeat)
