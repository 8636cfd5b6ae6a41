"""What a member list remembers of its changes, and how a roster gets to be the list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.rooms import changes as module
from zchat.rooms.changes import Change, Changes


def joins(version: int, uid: str) -> Change:
    return Change(uid, True, version)


def leaves(version: int, uid: str) -> Change:
    return Change(uid, False, version)


@pytest.fixture
def log() -> Changes:
    """alice was there at 100; then bob came, and came and went again, and carol came."""
    log = Changes(100)
    for change in (joins(101, "bob"), leaves(102, "bob"), joins(103, "carol")):
        log.add(change)
    return log


LIST = ["alice", "carol"]


def test_what_came_after_a_version(log: Changes) -> None:
    assert log.after(103) == []
    assert log.after(101) == [leaves(102, "bob"), joins(103, "carol")]
    assert log.after(0) == [joins(101, "bob"), leaves(102, "bob"), joins(103, "carol")]


def test_who_came_and_who_went_since_a_version(log: Changes) -> None:
    log.add(leaves(104, "alice"))
    assert log.since(100, ["carol"]) == (["carol"], ["bob", "alice"])
    assert log.since(103, ["carol"]) == ([], ["alice"])
    assert log.since(104, ["carol"]) == ([], [])
    assert (log.since(99, ["carol"]), log.since(105, ["carol"])) == (None, None)


@pytest.mark.parametrize("version", [100, 101, 103])
def test_a_roster_of_this_list_gets_what_it_missed(log: Changes, version: int) -> None:
    assert log.bring(version, ["whoever"], LIST) == log.after(version)
    assert log.unexplained(version, ["whoever"], LIST) == []


@pytest.mark.parametrize("version", [0, 99, 104])
def test_a_roster_of_another_list_is_brought_to_where_this_one_begins(
    log: Changes, version: int
) -> None:
    roster = ["alice", "ghost", "bob", "carol"]
    assert log.bring(version, roster, LIST) == [leaves(103, "ghost"), leaves(103, "bob")]
    assert log.bring(version, [], LIST) == [joins(103, "alice"), joins(103, "carol")]
    assert log.unexplained(version, roster, LIST) == ["ghost"]


def test_what_is_in_doubt_is_told_in_any_case(log: Changes) -> None:
    doubtful = ["alice", "carol", "ghost"]
    now = [joins(103, "alice"), leaves(103, "ghost")]
    assert log.bring(103, LIST, LIST, ["alice", "ghost"]) == now
    assert log.bring(102, ["alice"], LIST, doubtful) == [joins(103, "carol"), *now]
    found = log.bring(0, ["alice", "ghost"], LIST, ["ghost", "alice"])
    assert found == [leaves(103, "ghost"), joins(103, "alice"), joins(103, "carol")]


def test_the_list_as_it_was(log: Changes) -> None:
    assert log.undo(103, LIST) == LIST
    assert log.undo(102, LIST) == log.undo(100, LIST) == ["alice"]
    assert log.undo(101, LIST) == ["alice", "bob"]
    assert log.undo(99, LIST) is None


def test_a_list_may_begin_again(log: Changes) -> None:
    log.begin(103)
    assert log.bring(101, ["alice", "bob"], LIST) == [leaves(103, "bob"), joins(103, "carol")]
    assert log.bring(103, LIST, LIST) == []


def test_when_full_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 2)
    log = Changes(0)
    for version, uid in enumerate(("alice", "bob", "carol"), 1):
        log.add(joins(version, uid))
    everybody = ["alice", "bob", "carol"]
    assert log.bring(1, ["alice"], everybody) == [joins(2, "bob"), joins(3, "carol")]
    assert log.bring(0, [], everybody) == [joins(3, uid) for uid in everybody]


@given(
    changes=st.lists(st.sampled_from("abcde"), max_size=20),
    roster=st.sets(st.sampled_from("abcdefg")),
    claimed=st.sets(st.sampled_from("abcde")),
    doubtful=st.sets(st.sampled_from("abcdefg")),
)
def test_any_roster_becomes_the_list(
    changes: list[str], roster: set[str], claimed: set[str], doubtful: set[str]
) -> None:
    members, log = set(claimed), Changes(100)
    for version, uid in enumerate(changes, 101):
        log.add(Change(uid, uid not in members, version))
        members ^= {uid}
    found, opposite = set(roster), roster ^ doubtful
    versions = []
    for uid, joined, version in log.bring(0, sorted(roster), members, sorted(doubtful)):
        found = found | {uid} if joined else found - {uid}
        opposite = opposite | {uid} if joined else opposite - {uid}
        versions.append(version)
    assert found == opposite == members
    assert versions == sorted(versions)
    assert set(versions) <= {100 + len(changes)}


def test_a_roster_of_thousands() -> None:
    log = Changes(100)
    members = {f"person{number}" for number in range(5000)}
    roster = [f"person{number}" for number in range(2, 5002)]
    found = log.bring(0, roster, members)
    assert {(change.uid, change.joined) for change in found} == {
        *(("person5000", False), ("person5001", False), ("person0", True), ("person1", True))
    }
