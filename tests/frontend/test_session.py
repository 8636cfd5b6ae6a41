"""Sessions, snapshots, the table, and a member's place in a channel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from zchat.errors import BadRequest, RequestError
from zchat.frontend.session import (
    AlreadyBound,
    Base,
    Membership,
    Session,
    SessionTable,
    Snapshot,
    decode_snapshot,
)
from zchat.frontend.sockets.connection import Connection
from zchat.rooms.presence import SessionRef


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
        session.version,
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
    assert len({encoded, pushed, bound, session.encoded()}) == 4


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


# Copies


def test_a_copys_settings_are_taken_while_it_is_fresh(session: Session) -> None:
    session.push({"a": 1})
    seen = session.version
    assert session.push_copy({"b": (seen, 2)})
    assert session.push_copy({"a": (seen, 3)})  # another key has changed, not this one
    assert not session.push_copy({"a": (seen, 4), "c": (seen, 5)})
    assert session.settings == {"a": 3, "b": 2}


def test_the_version_rises_with_each_change(session: Session) -> None:
    versions = [session.version]
    session.push({"a": 1})
    versions.append(session.version)
    session.bind("alice")
    versions.append(session.version)
    session.unbind("alice")
    versions.append(session.version)
    assert versions == sorted(set(versions))
    assert session.snapshot().version == session.version
    session.bind("bob")
    unchanged = session.version
    session.bind("bob")
    assert session.version == unchanged


def test_a_session_has_a_name_in_the_cluster(session: Session) -> None:
    assert session.ref == SessionRef("connector-server-1", "0123456789abcdef", session.id)


@pytest.mark.parametrize(("uid", "error"), [("", BadRequest), ("bob", AlreadyBound)])
def test_checking_a_uid_binds_nothing(
    session: Session, uid: str, error: type[RequestError]
) -> None:
    session.check_uid("alice")
    assert session.uid == ""
    session.bind("alice")
    with pytest.raises(error):
        session.check_uid(uid)


def test_the_token_is_shown_with_the_list_that_its_order_found(session: Session) -> None:
    member = Membership(session, "lobby", "alice", "owner", 0)
    member.token = b"first"
    assert member.shown == b"first"
    member.base = Base(b"first", 7, frozenset({"bob"}))
    assert member.shown == b"first 7"
    member.token = b"second"
    assert member.shown == b"second"
