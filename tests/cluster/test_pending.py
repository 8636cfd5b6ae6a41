"""The table of open questions."""

from __future__ import annotations

from typing import Any

from zchat.cluster.envelope import Call, Request
from zchat.cluster.pending import Pending, PendingTable


def pending(
    number: int, deadline: float = 1000.0, size: int = 10, *, request: bool = False
) -> Pending:
    def unused(_: Any) -> None:
        raise AssertionError

    call, asked = Call(number, "m", b"", 1, b""), Request(number, "r", b"", b"", 1, 0)
    return Pending(asked if request else call, size, deadline, unused, idempotent=False)


def ids(questions: list[Pending]) -> list[int]:
    return [question.envelope.id for question in questions]


def test_take_once() -> None:
    table = PendingTable()
    one = pending(1)
    table.add(one)
    assert (len(table), table.held, table.get(1)) == (1, 10, one)
    assert table.take(1) is one
    assert table.take(1) is None
    assert (len(table), table.held, table.get(1)) == (0, 0, None)


def test_requests_are_counted_apart() -> None:
    table = PendingTable()
    for number, request in enumerate([True, False, True, True, False, True], start=1):
        table.add(pending(number, 100.0 + number, request=request))
    assert (len(table), table.requests) == (6, 4)
    for number in (1, 2, 1):
        table.take(number)
    assert (len(table), table.requests) == (4, 3)
    assert ids(table.expire(105.5)) == [3, 4, 5]
    assert (len(table), table.requests) == (1, 1)
    table.clear()
    assert table.requests == 0


def test_expiry_follows_the_order_of_asking() -> None:
    table = PendingTable()
    for number, deadline in enumerate([103.0, 101.0, 101.0, 102.0, 101.0], start=1):
        table.add(pending(number, deadline))
    table.take(3)
    assert ids(table.expire(100.9)) == []
    assert ids(table.expire(101.1)) == [2, 5]
    assert table.held == 20
    assert ids(table.expire(200.0)) == [1, 4]
    assert (len(table), table.held) == (0, 0)


def test_iterating_allows_taking() -> None:
    table = PendingTable()
    for number in range(1, 6):
        table.add(pending(number))
    for question in table:
        table.take(question.envelope.id)
    assert table.held == 0


def test_clear() -> None:
    table = PendingTable()
    for number in range(1, 4):
        table.add(pending(number))
    assert ids(table.clear()) == [1, 2, 3]
    assert (len(table), table.held) == (0, 0)
    assert table.expire(10_000.0) == []
