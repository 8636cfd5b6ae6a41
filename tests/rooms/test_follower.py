"""Never twice, never out of order, never past a hole that the owner could fill."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from zchat.rooms.follower import Follower, Run
from zchat.rooms.stream import Item, StreamPosition


def item(epoch: str, offset: int) -> Item:
    return Item(f"{epoch}:{offset}".encode(), None)


def run(epoch: str, first: int, count: int = 1) -> Run:
    return Run(first, [item(epoch, offset) for offset in range(first, first + count)])


def at(offset: int, epoch: str = "e") -> StreamPosition:
    return StreamPosition(epoch, offset)


def names(runs: list[Run]) -> list[str]:
    """What was delivered, item by item; each run's offsets are held against its items."""
    found = []
    for delivered in runs:
        for offset, each in enumerate(delivered.items, delivered.first):
            assert each.package.endswith(f":{offset}".encode())
            found.append(each.package.decode())
    return found


@pytest.fixture
def follower() -> Follower:
    """One that stands at e:5."""
    follower = Follower(limit=10)
    assert follower.place(at(5)) == []
    return follower


def test_the_next_goes_on(follower: Follower) -> None:
    assert names(follower.receive("e", run("e", 6, 2))) == ["e:6", "e:7"]
    assert follower.position == at(7)
    assert not follower.missing


def test_repeats_are_dropped_and_counted(follower: Follower) -> None:
    assert follower.receive("e", run("e", 4, 2)) == []
    assert names(follower.receive("e", run("e", 5, 3))) == ["e:6", "e:7"]
    assert follower.repeats == 3


def test_a_gap_is_held_until_it_is_filled(follower: Follower) -> None:
    assert follower.receive("e", run("e", 8)) == []
    assert follower.missing
    assert follower.position == at(5)
    assert names(follower.receive("e", run("e", 6, 2))) == ["e:6", "e:7", "e:8"]
    assert not follower.missing


def test_a_gap_is_filled_by_what_was_fetched(follower: Follower) -> None:
    follower.receive("e", run("e", 8))
    assert names(follower.repair(at(8), run("e", 6, 3))) == ["e:6", "e:7", "e:8"]
    assert follower.repeats == 1
    assert not follower.missing


def test_a_page_that_is_not_all_leaves_the_rest_missing(follower: Follower) -> None:
    assert names(follower.repair(at(100), run("e", 6, 2))) == ["e:6", "e:7"]
    assert follower.missing


def test_what_the_owner_has_no_more_is_skipped_and_counted(follower: Follower) -> None:
    follower.receive("e", run("e", 20))
    assert names(follower.repair(at(20), run("e", 18, 2))) == ["e:18", "e:19", "e:20"]
    assert follower.lost == 12


def test_an_owner_that_has_nothing_left_lets_the_follower_go_on(follower: Follower) -> None:
    follower.repair(at(9), Run(10, []))
    assert follower.position == at(9)
    assert follower.lost == 4
    assert names(follower.receive("e", run("e", 10))) == ["e:10"]


def test_an_answer_that_was_overtaken_changes_nothing(follower: Follower) -> None:
    follower.receive("e", run("e", 6, 4))
    assert follower.repair(at(7), run("e", 6, 2)) == []
    assert follower.repair(at(5), Run(6, [])) == []
    assert follower.position == at(9)
    assert follower.lost == 0


def test_frames_of_another_epoch_are_dropped_and_counted(follower: Follower) -> None:
    assert follower.receive("f", run("f", 6, 3)) == []
    assert follower.repair(at(8, "f"), run("f", 6, 3)) == []
    assert follower.dropped == 3
    assert not follower.missing


def test_nothing_goes_out_before_it_is_placed() -> None:
    follower = Follower()
    assert follower.receive("e", run("e", 1, 7)) == []
    assert not follower.missing
    assert follower.repair(at(7), run("e", 1, 7)) == []
    assert names(follower.place(at(5))) == ["e:6", "e:7"]


def test_the_same_owner_again_goes_on_where_it_stood(follower: Follower) -> None:
    follower.unplace()
    assert follower.receive("e", run("e", 6)) == []
    assert names(follower.place(at(9))) == ["e:6"]
    assert follower.missing


def test_a_new_epoch_is_followed_from_its_start(follower: Follower) -> None:
    follower.unplace()
    follower.receive("f", run("f", 3))
    follower.receive("e", run("e", 6))
    assert follower.place(at(3, "f")) == []
    assert follower.position == at(0, "f")
    assert follower.missing
    assert names(follower.repair(at(3, "f"), run("f", 1, 2))) == ["f:1", "f:2", "f:3"]


def test_an_older_answer_does_not_hide_what_a_newer_one_told(follower: Follower) -> None:
    follower.repair(at(20), run("e", 6, 2))
    follower.place(at(6))
    follower.receive("e", run("e", 8))
    assert follower.missing


@pytest.mark.parametrize("limits", [(2, 1 << 20), (100, 6)], ids=["items", "bytes"])
@pytest.mark.parametrize("placed", [True, False])
def test_when_full_frames_are_dropped_and_fetched_later(
    placed: bool, limits: tuple[int, int]
) -> None:
    follower = Follower(*limits)
    if placed:
        follower.place(at(5))
    assert follower.receive("e", run("e", 10, 3)) == []
    assert follower.dropped == 3
    follower.place(at(5))
    assert follower.missing, "the dropped frame may be the last for a long time"
    assert len(names(follower.repair(at(12), run("e", 6, 7)))) == 7
    assert not follower.missing


def test_what_had_no_room_in_an_older_epoch_is_not_missed() -> None:
    follower = Follower(limit=2)
    follower.receive("e", run("e", 10, 3))
    follower.place(at(5, "f"))
    assert not follower.missing


class Owner:
    """The other end: a log for each epoch, of which the beginning may be trimmed."""

    def __init__(self) -> None:
        self.epoch = "e0"
        self.offset = 0
        self.trimmed = 0

    @property
    def position(self) -> StreamPosition:
        return StreamPosition(self.epoch, self.offset)

    def page(self, after: int, limit: int) -> Run:
        first = max(after, self.trimmed) + 1
        return run(self.epoch, first, max(0, min(limit, self.offset + 1 - first)))


class FollowingMachine(RuleBasedStateMachine):
    """An owner, a network that loses, repeats and reorders frames, and answers that come late."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = Owner()
        self.follower = Follower(limit=8)
        self.frames: list[tuple[str, Run]] = []
        self.answers: list[tuple[StreamPosition, Run]] = []
        self.delivered: list[tuple[str, int]] = []
        self.entered: StreamPosition | None = None
        self.skipped: set[tuple[str, int]] = set()

    @initialize(published=st.integers(0, 5))
    def some_came_before(self, published: int) -> None:
        self.owner.offset = published

    def take(self, runs: list[Run]) -> None:
        self.delivered += [
            (epoch, int(offset)) for epoch, offset in (name.split(":") for name in names(runs))
        ]

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        first = self.owner.offset + 1
        self.owner.offset += count
        self.frames.append((self.owner.epoch, run(self.owner.epoch, first, count)))

    @rule(data=st.data(), keep=st.booleans())
    @precondition(lambda self: self.frames)
    def a_frame_comes(self, data: st.DataObject, keep: bool) -> None:
        index = data.draw(st.integers(0, len(self.frames) - 1))
        frame = self.frames[index] if keep else self.frames.pop(index)
        self.take(self.follower.receive(*frame))

    @rule()
    @precondition(lambda self: self.frames)
    def a_frame_is_lost(self) -> None:
        self.frames.pop(0)

    @rule(limit=st.integers(1, 3))
    @precondition(lambda self: self.follower.missing)
    def ask(self, limit: int) -> None:
        position = self.follower.position
        assert position is not None
        if position.epoch == self.owner.epoch:
            self.answers.append((self.owner.position, self.owner.page(position.offset, limit)))

    @rule(data=st.data())
    @precondition(lambda self: self.answers)
    def an_answer_comes(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.answers) - 1))
        self.take(self.follower.repair(*self.answers.pop(index)))

    @rule()
    def place(self) -> None:
        if self.entered is None:
            self.entered = self.owner.position
        self.take(self.follower.place(self.owner.position))

    @rule()
    def unplace(self) -> None:
        self.follower.unplace()

    @rule()
    def restart(self) -> None:
        """The owner lost its journal: another epoch. The frontend hears of it by a new link."""
        self.owner.epoch = f"e{int(self.owner.epoch[1:]) + 1}"
        self.owner.offset = self.owner.trimmed = 0
        self.follower.unplace()

    @rule()
    @precondition(lambda self: self.owner.trimmed < self.owner.offset)
    def trim(self) -> None:
        self.owner.trimmed += 1
        self.skipped.add((self.owner.epoch, self.owner.trimmed))

    @invariant()
    def never_twice_never_out_of_order(self) -> None:
        keys = [(int(epoch[1:]), offset) for epoch, offset in self.delivered]
        assert keys == sorted(set(keys))

    @invariant()
    def never_past_a_hole_that_the_owner_could_fill(self) -> None:
        got = set(self.delivered)
        for epoch in {epoch for epoch, _ in self.delivered}:
            entered = self.entered is not None and self.entered.epoch == epoch
            start = self.entered.offset if entered and self.entered else 0
            last = max(offset for name, offset in self.delivered if name == epoch)
            holes = {(epoch, offset) for offset in range(start + 1, last + 1)} - got
            assert holes <= self.skipped

    @invariant()
    def holds_no_more_than_its_limit(self) -> None:
        assert self.follower._held_items <= self.follower.limit

    def teardown(self) -> None:
        """Placed again, and fetching while it misses something, it gets level."""
        if self.entered is None:
            return
        self.take(self.follower.place(self.owner.position))
        while self.follower.missing:
            position = self.follower.position
            assert position is not None
            page = self.owner.page(position.offset, 2)
            self.take(self.follower.repair(self.owner.position, page))
        assert self.follower.position == self.owner.position
        self.never_twice_never_out_of_order()
        self.never_past_a_hole_that_the_owner_could_fill()


TestFollowing = FollowingMachine.TestCase
TestFollowing.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
