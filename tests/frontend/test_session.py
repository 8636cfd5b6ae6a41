"""Sessions, snapshots, the table, and a member's place in a channel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from zchat.errors import BadRequest, RequestError
from zchat.frontend.connection import Connection
from zchat.frontend.session import (
    AlreadyBound,
    Membership,
    Session,
    SessionTable,
    Snapshot,
    decode_snapshot,
)
from zchat.rooms.stream import StreamPosition


def opened(table: SessionTable) -> Session:
    fake = SimpleNamespace(remote_address="192.0.2.1", host="chat.example")
    return table.open(cast(Connection, fake))


@pytest.fixture
def table() -> SessionTable:
    return SessionTable("connector-server-1", "0123456789abcdef")


@pytest.fixture
def session(table: SessionTable) -> Session:
    return opened(table)


def test_ids_are_never_used_twice(table: SessionTable) -> None:
    one = opened(table)
    table.close(one)
    two = opened(table)
    assert one.id != two.id
    assert table.get(one.id) is None
    assert table.get(two.id) is two
    assert list(table) == [two]
    assert len(table) == 1


def test_a_snapshot_says_it_all(session: Session) -> None:
    session.bind("alice")
    session.push({"rid": "lobby", "n": [1, 2]})
    assert decode_snapshot(session.encoded()) == Snapshot(
        "connector-server-1",
        "0123456789abcdef",
        session.id,
        "alice",
        {"rid": "lobby", "n": [1, 2]},
        "192.0.2.1",
        "chat.example",
    )


def test_a_snapshot_is_of_its_moment(session: Session) -> None:
    before = session.snapshot()
    session.push({"rid": "lobby"})
    session.bind("alice")
    assert (before.uid, before.settings) == ("", {})


def test_a_snapshot_is_encoded_once_per_change(session: Session) -> None:
    encoded = session.encoded()
    assert session.encoded() is encoded
    session.push({"rid": "lobby"})
    pushed = session.encoded()
    session.bind("alice")
    bound = session.encoded()
    session.bind("alice")
    assert session.encoded() is bound
    session.unbind("alice")
    assert session.encoded() == pushed
    assert len({encoded, pushed, bound}) == 3


def test_settings_merge_and_none_takes_out(session: Session) -> None:
    assert session.get("rid") is None
    assert session.settings == {}
    session.push({"rid": "lobby", "colour": "red"})
    session.push({"colour": None, "nothing": None, "zero": 0})
    assert session.settings == {"rid": "lobby", "zero": 0}
    assert session.get("zero") == 0
    assert session.get("colour") is None


def test_a_session_is_bound_once(table: SessionTable, session: Session) -> None:
    session.bind("alice")
    session.bind("alice")
    with pytest.raises(AlreadyBound, match="already bound to alice"):
        session.bind("bob")
    assert session.uid == "alice"
    assert table.of_uid("alice") == [session]
    assert table.of_uid("bob") == []


def test_nobody_cannot_be_bound(session: Session) -> None:
    with pytest.raises(BadRequest):
        session.bind("")


@pytest.mark.parametrize("uid", ["", "bob"])
def test_only_who_is_bound_is_unbound(session: Session, uid: str) -> None:
    with pytest.raises(RequestError):
        session.unbind(uid)
    session.bind("alice")
    with pytest.raises(RequestError):
        session.unbind(uid)
    assert session.uid == "alice"


def test_a_uid_has_several_sessions(table: SessionTable) -> None:
    one, two = opened(table), opened(table)
    one.bind("alice")
    two.bind("alice")
    assert {s.id for s in table.of_uid("alice")} == {one.id, two.id}
    one.unbind("alice")
    assert table.of_uid("alice") == [two]
    one.bind("bob")  # unbound, it may be somebody else
    table.close(two)
    table.close(two)
    assert table.of_uid("alice") == []
    assert table.of_uid("bob") == [one]


# A member's place


def member(session: Session, origin: int = 7) -> Membership:
    return Membership(session, "lobby", "alice", "chat-server-1", origin)


def test_a_member_waits_for_the_answer_that_joined_it(session: Session) -> None:
    joined = member(session, origin=7)
    answered = []
    for in_flight in (None, {6}, {6, 7}):
        session.in_flight = in_flight
        answered.append(joined.answered)
    assert answered == [True, True, False]
    assert member(session, origin=0).answered


def held(epoch: str, offset: int, version: int) -> tuple[str, int, int, bytes]:
    return epoch, offset, version, b"%d/%d" % (offset, version)


def test_who_is_not_admitted_wants_nothing(session: Session) -> None:
    assert not member(session).wants(held("e", 1, 0))


def test_a_member_wants_what_came_after_it(session: Session) -> None:
    joined = member(session)
    joined.position, joined.version = StreamPosition("e", 5), 3
    wanted = [("e", 6, 0), ("e", 0, 4)]
    unwanted = [("e", 5, 0), ("e", 1, 0), ("e", 0, 3), ("f", 6, 0), ("f", 0, 4)]
    assert all(joined.wants(held(*entry)) for entry in wanted)
    assert not any(joined.wants(held(*entry)) for entry in unwanted)


def test_a_new_epoch_is_all_for_who_was_there(session: Session) -> None:
    joined = member(session)
    joined.position, joined.version = StreamPosition("e", 5), 3
    entries: list[Any] = [
        held("e", 5, 0),
        held("e", 6, 0),
        held("e", 0, 3),
        held("e", 0, 4),
        held("f", 1, 0),
        held("f", 0, 1),
        held("g", 9, 0),
    ]
    joined.held = entries
    joined.begin("f")
    assert (joined.position, joined.version) == (StreamPosition("f", 0), 0)
    assert [entry[3] for entry in joined.held] == [b"6/0", b"0/4", b"1/0", b"0/1"]
    assert all(joined.wants(entry) for entry in joined.held)


def test_the_same_epoch_changes_nothing(session: Session) -> None:
    not_admitted, joined = member(session), member(session)
    not_admitted.begin("e")
    assert not_admitted.position is None
    joined.position, joined.version, joined.held = StreamPosition("e", 5), 3, [held("e", 1, 0)]
    joined.begin("e")
    assert (joined.position, joined.version) == (StreamPosition("e", 5), 3)
    assert joined.held == [held("e", 1, 0)]
