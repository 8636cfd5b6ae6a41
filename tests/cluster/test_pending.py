"""The table of open questions."""

from __future__ import annotations

from typing import Any

from zchat.cluster.envelope import Call
from zchat.cluster.pending import Pending, PendingTable


def pending(number: int, deadline: float = 1000.0, size: int = 10) -> Pending:
    def unused(_: Any) -> None:
        raise AssertionError

    return Pending(Call(number, "m", b"", 1, b""), size, deadline, unused, idempotent=False)


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
