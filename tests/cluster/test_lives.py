"""Which lives are up, and which may not come back."""

from __future__ import annotations

from zchat.cluster.envelope import PROTOCOL, Hello
from zchat.cluster.identity import routing_id
from zchat.cluster.limits import Limits
from zchat.cluster.lives import Lives
from zchat.cluster.pipe import Pipe
from zchat.cluster.remote_peer import RemotePeer


def hello(server_id: str, incarnation: str = "a", protocol: int = PROTOCOL) -> Hello:
    return Hello(protocol, server_id, "chat", incarnation, 0)


def begun(lives: Lives, server_id: str, incarnation: str = "a") -> RemotePeer:
    said = hello(server_id, incarnation)
    identity = routing_id(server_id, incarnation)
    peer = RemotePeer(identity, said, Pipe(server_id, Limits()), 0.0)
    lives.begin(peer)
    return peer


def lost(lives: Lives, peer: RemotePeer) -> None:
    lives.end(peer)
    lives.lose(peer)


def test_a_life_is_found_by_its_server_and_by_its_routing_id() -> None:
    lives = Lives(9)
    peer = begun(lives, "chat-1")
    assert (lives.up, lives.by_identity) == ({"chat-1": peer}, {peer.identity: peer})
    lives.end(peer)
    assert not peer.alive
    assert (lives.up, lives.by_identity) == ({}, {})


def test_the_next_life_replaces_the_one_that_was_lost() -> None:
    lives = Lives(9)
    first = begun(lives, "chat-1", "a")
    lost(lives, first)
    assert not lives.was_replaced(first.identity)
    second = begun(lives, "chat-1", "b")
    assert lives.was_replaced(first.identity)
    assert not lives.was_replaced(second.identity)


def test_a_life_that_comes_back_replaces_nobody() -> None:
    lives = Lives(9)
    peer = begun(lives, "chat-1")
    lives.unlink(peer.identity)
    lost(lives, peer)
    assert lives.was_unlinked(peer.identity)
    begun(lives, "chat-1")
    assert not lives.was_replaced(peer.identity)
    assert not lives.was_unlinked(peer.identity)


def test_who_may_not_come_in() -> None:
    lives = Lives(1)
    identity = routing_id("chat-1", "a")
    assert lives.objection(identity, hello("chat-1")) is None
    assert lives.objection(identity, hello("chat-2")) == ("false name", "chat-2")
    assert lives.objection(identity, hello("chat-1", protocol=99)) == ("other protocol", 99)
    begun(lives, "chat-1")
    assert lives.objection(routing_id("chat-1", "b"), hello("chat-1", "b")) is None
    assert lives.objection(routing_id("chat-2", "a"), hello("chat-2")) == ("too many peers", "")


def test_when_full_the_oldest_is_forgotten() -> None:
    lives = Lives(2)
    identities = []
    for server_id in ("chat-1", "chat-2", "chat-3"):
        peer = begun(lives, server_id, "a")
        lives.unlink(peer.identity)
        lost(lives, peer)
        identities.append(peer.identity)
    assert [lives.was_unlinked(identity) for identity in identities] == [False, True, True]
    for server_id in ("chat-1", "chat-2", "chat-3"):
        begun(lives, server_id, "b")
    assert [lives.was_replaced(identity) for identity in identities] == [False, True, True]
