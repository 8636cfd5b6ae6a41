from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from zchat.protocol.misfit import Misfit
from zchat.protocol.portable import SPARE_DEPTH, portable


class Step(msgspec.Struct):
    x: int
    rest: Any = None
    made: object = object()


def of(value: Any) -> Any:
    return portable(value, len(json.dumps(value)))


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), 1e300, True, None, "9" * 40, [{}], {"": 0}])
def test_what_servers_can_hand_on(value: Any) -> None:
    assert of(value) == value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (2**64, ""),
        ({"a": [1, {"b": -(2**63) - 1}]}, "a[1].b"),
        ([2**64], "[0]"),
        ({2**64: "a number as a key"}, ""),
    ],
)
def test_large_integers_are_named(value: Any, path: str) -> None:
    with pytest.raises(Misfit, match="at most 64 bits") as caught:
        of(value)
    assert caught.value.path == path


def test_structs() -> None:
    assert portable(Step(2**64 - 1), 10).x == 2**64 - 1
    with pytest.raises(Misfit, match=r"rest\[0\]: "):
        portable(Step(1, [2**70]), 10)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_what_is_accepted_can_be_put_into_something() -> None:
    packable = next(n for n in range(100, 200_000, 20) if not is_packable(nested(n + 20)))
    with pytest.raises(Misfit, match="nested too deeply"):
        portable(nested(packable), 2 * packable)
    assert portable(nested(packable - SPARE_DEPTH - 20), 2 * packable)


def is_packable(value: Any) -> bool:
    try:
        return bool(msgspec.msgpack.encode(value))
    except RecursionError:
        return False
