"""Sessions that a backend was told of."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zchat.framework.sessions import acquaintances as module
from zchat.framework.sessions.acquaintances import Acquaintances
from zchat.frontend.session import Snapshot
from zchat.rooms.presence import SessionRef


def told(number: int, uid: str = "", version: int = 0, life: str = "life") -> Snapshot:
    return Snapshot("c1", life, number, uid, {}, "", "", version)


def ref(number: int, life: str = "life") -> SessionRef:
    return SessionRef("c1", life, number)


def test_a_binding_is_news_once() -> None:
    known = Acquaintances(5.0)
    assert not known.meet(told(1))
    assert known.meet(told(1, "alice", 1))
    assert not known.meet(told(1, "alice", 1))
    assert not known.meet(told(1, "alice", 2))  # something was set
    assert not known.meet(told(1, "", 3))
    assert known.meet(told(1, "bob", 4))
    assert known.meet(told(2, "alice", 1))  # bound before it was met
    assert len(known) == 2


def test_what_is_older_is_no_news() -> None:
    known = Acquaintances(5.0)
    assert known.meet(told(1, "bob", 4))
    assert not known.meet(told(1, "alice", 1))
    assert known.close(ref(1)) == told(1, "bob", 4)


def test_a_closing_is_news_once() -> None:
    known = Acquaintances(5.0)
    known.meet(told(1, "alice"))
    assert known.close(ref(1, "another")) is None
    assert known.close(ref(1)) == told(1, "alice")
    assert known.close(ref(1)) is None


def test_who_stays_away_is_closed_after_the_grace() -> None:
    known = Acquaintances(5.0)
    known.meet(told(1, "alice"))
    assert known.lost("life", 10.0) == []
    assert known.is_away("life")
    assert list(known.expire(14.9)) == []
    assert list(known.expire(15.0)) == [told(1, "alice")]
    assert list(known.expire(99.0)) == []


def test_who_comes_back_in_time_is_asked_after() -> None:
    known = Acquaintances(5.0)
    known.meet(told(1))
    known.meet(told(2))
    known.lost("life", 10.0)
    assert known.up("c1", "life") == []
    assert not known.is_away("life")
    assert known.known("life") == [1, 2]
    assert list(known.expire(99.0)) == []


def test_who_comes_back_too_late_is_not_met_again() -> None:
    known = Acquaintances(5.0)
    known.meet(told(1, "alice", 1))
    known.lost("life", 10.0)
    assert len(list(known.expire(20.0))) == 1
    assert known.up("c1", "life") == []
    assert not known.meet(told(1, "alice", 2))
    assert known.close(ref(1)) is None
    assert known.meet(told(2, "bob", 1))  # it came meanwhile


def test_another_life_ends_the_earlier_ones() -> None:
    known = Acquaintances(5.0)
    known.meet(told(1, "alice"))
    known.meet(Snapshot("c2", "other", 1, "bob", {}, "", ""))
    known.lost("life", 10.0)
    assert known.up("c1", "next life") == [told(1, "alice")]
    assert known.up("c1", "next life") == []
    assert known.known("other") == [1]
    assert known.is_away("life")


def test_a_strangers_link_is_none_of_ours() -> None:
    known = Acquaintances(5.0)
    assert known.lost("life", 1.0) == []
    assert known.up("c1", "life") == []
    assert known.is_away("life")


def test_lives_are_bounded() -> None:
    known = Acquaintances(5.0)
    ended = []
    for number in range(module._LIVES + 2):
        known.meet(told(1, life=f"life {number}"))
        ended += known.lost(f"life {number}", 0.0)
    assert [snapshot.incarnation for snapshot in ended] == ["life 0", "life 1"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("meet"), st.integers(1, 3)),
        st.tuples(st.just("close"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["lost", "up", "next", "wait"]), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_session_closes_twice(steps: list[tuple[str, int]]) -> None:
    known, now, lives = Acquaintances(5.0), 0.0, 1
    closed: Counter[tuple[str, int]] = Counter()
    gone: set[tuple[str, int]] = set()

    def count(snapshots: list[Snapshot]) -> None:
        closed.update((snapshot.incarnation, snapshot.id) for snapshot in snapshots)

    for step, number in steps:
        life = f"life {lives}"
        if step == "meet" and (life, number) not in gone:
            known.meet(told(number, "u", life=life))
        elif step == "close":
            found = known.close(ref(number, life))
            gone.add((life, number))  # a frontend tells nothing of it after that
            count([found] if found else [])
        elif step == "lost":
            count(known.lost(life, now))
        elif step == "wait":
            now += 4.0
            count(list(known.expire(now)))
        else:
            lives += step == "next"
            count(known.up("c1", f"life {lives}"))
    assert max(closed.values(), default=1) == 1
