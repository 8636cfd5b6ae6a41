"""What other servers may call, and with what."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from zchat.errors import BadRequest, ConfigError, RequestError
from zchat.framework.peers.methods import Methods, decode, encode
from zchat.rooms.presence import SessionRef


class Point(msgspec.Struct, array_like=True):
    x: int


SHARED: list[int] = []


async def method(
    uid: str, session: SessionRef, points: list[Point], more: Any = None, shared: list[int] = SHARED
) -> list[Any]:
    assert isinstance(session, SessionRef)
    assert all(isinstance(point, Point) for point in points)
    assert shared is SHARED or shared
    return [uid, session, points, more]


REF = SessionRef("c1", "life", 7)


@pytest.fixture
def methods() -> Methods:
    methods = Methods()
    methods.add("method", method)
    return methods


async def test_arguments_are_what_the_annotations_say(methods: Methods) -> None:
    args = encode(("alice", REF, [Point(1)], {"a": 1}, [2]))
    assert decode(await methods.invoke("method", args)) == ["alice", [*REF], [[1]], {"a": 1}]


async def test_defaults_are_the_functions_own(methods: Methods) -> None:
    args = encode(("alice", REF, []))
    assert decode(await methods.invoke("method", args)) == ["alice", [*REF], [], None]


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("alice", REF),
        ("alice", REF, [["x"]]),
        (7, REF, []),
        ("alice", ["c1", "life", "7"], []),
        ("alice", REF, [], 1, [], "one too many"),
        {"uid": "alice"},
        None,
    ],
)
async def test_arguments_that_do_not_fit_are_refused(methods: Methods, args: object) -> None:
    with pytest.raises(BadRequest, match="arguments of method"):
        await methods.invoke("method", encode(args))


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x93\xa1", b"\x93\xa1\xff\x90\x90", b"\x91" * 5000]
)
async def test_bytes_that_are_no_arguments_are_refused(methods: Methods, data: bytes) -> None:
    with pytest.raises(BadRequest):
        await methods.invoke("method", data)


@pytest.mark.parametrize("name", ["", "other", "__init__", "add"])
async def test_what_is_not_in_the_table_cannot_be_called(methods: Methods, name: str) -> None:
    with pytest.raises(RequestError, match="no method"):
        await methods.invoke(name, encode(()))
    with pytest.raises(RequestError, match="no cast"):
        methods.cast(name, encode(()))


def test_casts_have_a_table_of_their_own(methods: Methods) -> None:
    taken: list[tuple[str, int]] = []

    def cast(name: str, number: int = 3) -> None:
        taken.append((name, number))

    methods.add_cast("cast", cast)
    methods.cast("cast", encode(("a",)))
    methods.cast("cast", encode(("b", 4)))
    with pytest.raises(BadRequest, match="arguments of cast"):
        methods.cast("cast", encode((1,)))
    with pytest.raises(RequestError, match="no cast"):
        methods.cast("method", encode(()))
    assert taken == [("a", 3), ("b", 4)]


async def test_what_the_method_raises_comes_through(methods: Methods) -> None:
    async def failing() -> None:
        raise KeyError("mine")

    methods.add("failing", failing)
    with pytest.raises(KeyError, match="mine"):
        await methods.invoke("failing", encode(()))


async def test_a_wrapped_methods_arguments_are_those_of_the_method(methods: Methods) -> None:
    async def method(name: str, times: int = 2) -> str:
        return name * times

    async def wrapped(*args: Any) -> Any:
        return [await method(*args)]

    methods.add("wrapped", wrapped, like=method)
    assert decode(await methods.invoke("wrapped", encode(("a",)))) == ["aa"]
    with pytest.raises(BadRequest, match="arguments of wrapped"):
        await methods.invoke("wrapped", encode((1,)))


async def star(*names: str) -> None: ...
async def keyword(*, name: str) -> None: ...
async def unknown(name: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def impossible(name: int | list[int] | set[int]) -> None: ...


@pytest.mark.parametrize("function", [star, keyword, unknown, impossible])
def test_functions_that_no_array_fits_stop_the_start(function: Any) -> None:
    methods = Methods()
    with pytest.raises(ConfigError, match="bad cannot be called by other servers: "):
        methods.add("bad", function)
    with pytest.raises(ConfigError, match="bad"):
        methods.add_cast("bad", function)
