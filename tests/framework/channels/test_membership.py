"""The ring as one server sees it."""

from __future__ import annotations

import pytest

from zchat.config.topology import Server, Topology
from zchat.framework.channels.membership import Membership, owners
from zchat.rooms.ring import Ring


def server(server_id: str) -> Server:
    server_type = server_id.partition("-")[0]
    frontend = server_type == "connector"
    return Server(server_id, server_type, "127.0.0.1", 1, 2, frontend=frontend)


def topology(*ids: str) -> Topology:
    return Topology("test", tuple(server(server_id) for server_id in ids))


ALL = topology("connector-1", "chat-1", "chat-2", "area-1")


class Watched(Membership):
    """Remembers what it told."""

    def __init__(self, types: frozenset[str] | None, server_id: str = "connector-1") -> None:
        self.changes: list[tuple[Ring, Ring]] = []
        super().__init__(server_id, types, lambda old, new: self.changes.append((old, new)))


@pytest.fixture
def membership() -> Watched:
    return Watched(frozenset({"chat"}))


def test_who_may_own_channels() -> None:
    assert [s.id for s in owners(ALL)] == ["chat-1", "chat-2", "area-1"]
    assert [s.id for s in owners(ALL, frozenset({"area"}))] == ["area-1"]
    assert owners(ALL, frozenset()) == ()


def test_listed_and_heard_of(membership: Watched) -> None:
    membership.follow(ALL)
    assert membership.ring.workers == frozenset()
    membership.heard("chat-2")
    assert membership.ring.workers == {"chat-2"}
    membership.heard("area-1")
    membership.heard("stranger")
    assert membership.ring.workers == {"chat-2"}


def test_an_owner_has_heard_of_itself() -> None:
    membership = Watched(frozenset({"chat"}), "chat-1")
    membership.follow(ALL)
    assert membership.ring.workers == {"chat-1"}


def test_only_changes_are_told_and_each_is_a_generation() -> None:
    membership = Watched(frozenset({"chat"}), "chat-1")
    membership.follow(ALL)
    membership.heard("chat-2")
    membership.heard("chat-2")
    membership.follow(ALL)
    rings = [membership.changes[0][0], *(new for _, new in membership.changes)]
    assert [ring.generation for ring in rings] == [0, 1, 2]
    assert [ring.workers for ring in rings] == [set(), {"chat-1"}, {"chat-1", "chat-2"}]
    assert membership.changes[1][0] is membership.changes[0][1]
    assert membership.ring is rings[-1]


def test_who_is_taken_out_must_be_heard_again(membership: Watched) -> None:
    membership.follow(ALL)
    membership.heard("chat-1")
    membership.heard("chat-2")
    membership.follow(topology("connector-1", "chat-2"))
    assert membership.ring.workers == {"chat-2"}
    membership.follow(ALL)
    assert membership.ring.workers == {"chat-2"}
    membership.heard("chat-1")
    assert membership.ring.workers == {"chat-1", "chat-2"}


def test_without_types_every_backend_owns() -> None:
    membership = Watched(None, "area-1")
    membership.follow(ALL)
    membership.heard("connector-1")
    assert membership.ring.workers == {"area-1"}
