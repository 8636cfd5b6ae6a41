"""Claims and answers between frontends and owners: as they travel, and what is none."""

from __future__ import annotations

import msgspec
import pytest

from tests.frontend.audience import EPOCH, LOBBY, change, items_of
from zchat.errors import ClusterError
from zchat.frontend.answers import Announced, Claim, Compared, Repaired, read

ANSWERS = [
    Announced(LOBBY, EPOCH, 7, 101),
    Repaired(EPOCH, 7, 6, list(items_of("six", "seven", to=["alice"]))),
    Compared(EPOCH, 102, [change(101, "alice"), change(102, "bob", False)]),
    Claim("alice", 7, 1.5, True, "resume"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_they_come_back_as_they_were(answer: msgspec.Struct) -> None:
    raw = msgspec.msgpack.decode(msgspec.msgpack.encode(answer))
    assert isinstance(raw, list)
    assert read(raw, type(answer)) == answer


@pytest.mark.parametrize("raw", [None, "nonsense", [], [EPOCH, "seven", []], {"epoch": EPOCH}])
def test_anything_else_is_a_cluster_error(raw: object) -> None:
    with pytest.raises(ClusterError, match="unreadable answer"):
        read(raw, Compared)
