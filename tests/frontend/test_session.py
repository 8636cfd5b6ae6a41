"""Sessions, snapshots, the table, and a member's place in a channel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from tests.frontend.audience import change
from zchat.errors import BadRequest, RequestError
from zchat.frontend.connection import Connection
from zchat.frontend.session import (
    AlreadyBound,
    Base,
    Held,
    Membership,
    Session,
    SessionTable,
    Snapshot,
    decode_snapshot,
)
from zchat.rooms.presence import SessionRef
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


def held(epoch: str, offset: int) -> Held:
    return epoch, offset, None, b"%d" % offset


def held_change(version: int, uid: str, joined: bool = True, epoch: str = "e") -> Held:
    told = change(version, uid, joined, epoch=epoch)
    return epoch, 0, told, told.package


def shown(joined: Membership) -> list[str]:
    return [entry[3].decode() for entry in joined.held or ()]


def test_who_is_not_admitted_wants_nothing(session: Session) -> None:
    assert not member(session).wants(held("e", 1))
    assert not member(session).wants(held_change(1, "bob"))


def test_a_member_wants_what_came_after_it(session: Session) -> None:
    joined = member(session)
    joined.position, joined.version = StreamPosition("e", 5), 3
    assert joined.wants(held("e", 6))
    assert joined.wants(held_change(4, "bob"))
    assert not any(joined.wants(held(*entry)) for entry in [("e", 5), ("e", 1), ("f", 6)])


def test_a_new_epoch_is_all_for_who_was_there(session: Session) -> None:
    joined = member(session)
    joined.position, joined.version = StreamPosition("e", 5), 3
    entries = [("e", 5), ("e", 6), ("f", 1), ("g", 9)]
    joined.held = [*(held(*entry) for entry in entries), held_change(4, "bob")]
    joined.begin("f")
    assert (joined.position, joined.version) == (StreamPosition("f", 0), 0)
    assert shown(joined) == ["6", "1", "+bob"]
    assert all(joined.wants(entry) for entry in joined.held)


def test_the_same_epoch_changes_nothing(session: Session) -> None:
    not_admitted, joined = member(session), member(session)
    not_admitted.begin("e")
    assert not_admitted.position is None
    joined.position, joined.version, joined.held = StreamPosition("e", 5), 3, [held("e", 1)]
    joined.begin("e")
    assert (joined.position, joined.version) == (StreamPosition("e", 5), 3)
    assert joined.held == [held("e", 1)]


# What its client knows of the others


def test_of_what_was_held_only_what_the_list_lacks_is_told(session: Session) -> None:
    joined = member(session)
    joined.held = [
        held_change(3, "bob"),
        held("e", 6),
        held_change(4, "bob", False),
        held_change(5, "carol"),
        held_change(6, "carol", False),
    ]
    joined.take_list(["alice", "carol"], 3, {"alice", "dave"})
    assert shown(joined) == ["6", "-carol"]
    assert (joined.version, joined.differs) == (3, {"dave"})


def test_versions_of_another_owner_say_nothing(session: Session) -> None:
    joined = member(session)
    joined.held = [held_change(3, "bob"), held_change(4, "carol")]
    joined.take_list(["alice", "carol"], 0, {"bob", "carol"})
    assert shown(joined) == ["+bob"]
    assert joined.differs == set()


@pytest.mark.parametrize(
    ("version", "uid", "joined", "known", "told", "differs"),
    [
        (5, "eve", True, False, True, {"bob"}),  # news
        (5, "eve", False, False, False, {"bob"}),  # it knows, as the roster does
        (5, "bob", True, False, False, set()),  # it knew that bob is here, and the roster did not
        (5, "bob", False, False, True, set()),  # bob is not here after all
        (2, "eve", True, False, False, {"bob", "eve"}),  # in its list eve has gone again
        (2, "bob", True, False, False, set()),  # its list has it, the roster has it now
        (2, "bob", False, False, False, {"bob"}),
        (3, "bob", False, False, True, set()),
        (5, "alice", False, True, False, {"bob"}),  # nobody is told of themselves
    ],
)
def test_a_change_is_told_to_who_does_not_know(
    session: Session,
    version: int,
    uid: str,
    joined: bool,
    known: bool,
    told: bool,
    differs: set[str],
) -> None:
    alice = member(session)
    alice.take_list(["alice", "bob"], 3, {"alice"})
    assert alice.differs == {"bob"}
    assert alice.take(change(version, uid, joined), known) is told
    assert alice.differs == differs


def test_in_doubt_its_list_is_of_no_version(session: Session) -> None:
    not_admitted, joined = member(session), member(session)
    for one in (not_admitted, joined):
        one.version, one.held = 3, [held("e", 6), held_change(4, "bob")]
    joined.position, joined.differs = StreamPosition("e", 5), {"carol"}
    for one in (not_admitted, joined):
        one.doubt()
    assert shown(not_admitted) == ["6"], "its list is still to come"
    assert (shown(joined), joined.version, joined.differs) == (["6", "+bob"], 0, {"carol"})


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
