"""What waits in a lane comes out in the order in which it came in."""

from __future__ import annotations

from dataclasses import dataclass

from zchat.frontend.lane import Lane


@dataclass
class Asked:
    number: int
    since: float = 0.0


def lane(*held: Asked) -> Lane[Asked]:
    made: Lane[Asked] = Lane()
    for request in held:
        made.hold(request)
    return made


def numbers(requests: list[Asked]) -> list[int]:
    return [request.number for request in requests]


def test_a_new_lane_is_empty() -> None:
    assert (lane().under_way, lane().release(), lane().closed) == (0, [], False)


def test_what_waits_comes_out_once_oldest_first() -> None:
    waiting = lane(Asked(1), Asked(2))
    assert numbers(waiting.release()) == [1, 2]
    assert waiting.release() == []


def test_what_failed_goes_before_all_that_are_newer() -> None:
    waiting = lane(Asked(4), Asked(5))
    waiting.hold_again(Asked(1))
    waiting.hold_again(Asked(2))
    waiting.hold(Asked(6))
    waiting.hold_again(Asked(3))
    assert numbers(waiting.release()) == [1, 2, 3, 4, 5, 6]
    waiting.hold(Asked(8))
    waiting.hold_again(Asked(7))
    assert numbers(waiting.release()) == [7, 8]


def test_overdue_is_what_came_early_enough() -> None:
    waiting = lane(Asked(2, 2.0), Asked(3, 3.0))
    waiting.hold_again(Asked(1, 1.0))
    assert waiting.overdue(0.9) == []
    assert numbers(waiting.overdue(2.0)) == [1, 2]
    waiting.hold_again(Asked(0, 2.5))
    assert numbers(waiting.release()) == [0, 3]
