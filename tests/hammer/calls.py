"""What a client may send, as hypothesis makes it up: right, nearly right, and nonsense.

`visits` are of four kinds: callers keep the protocol and ask for what they like, guests shake hands
and then send packages that may be broken, strangers send bytes, and insiders are servers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.frontend.wire import ACK, HANDSHAKE, masked
from tests.frontend.wire import request as upgrade
from zchat.protocol import package

MAX_ID = 2**53 - 1
NAMES = ("ann", "bo", "cleo", "dov", "中文", "with space", "")
ROOMS = ("pier", "quay", "lobby", "", "x" * 300, "a\0b")

texts = st.text(max_size=30) | st.sampled_from(NAMES + ROOMS)
numbers = st.integers() | st.sampled_from([0, -1, 1, 2**31, 2**53, 2**64, -(2**63)]) | st.floats()


def _trees(integers: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | integers | st.floats() | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    )


values = _trees(st.integers() | st.sampled_from([2**64, -(2**63) - 1]))
packable = _trees(st.integers(-(2**63), 2**64 - 1))
"""Between servers integers have 64 bits."""
since = st.fixed_dictionaries({"epoch": texts, "offset": numbers}) | values

Fields = Mapping[str, st.SearchStrategy[Any]]


@dataclass(frozen=True)
class Route:
    """A route that clients may call, and what its body should be.

    Args:
        name: the route.
        needed: the fields that have to be there.
        optional: those that may be there.
    """

    name: str
    needed: Fields
    optional: Fields

    def bodies(self) -> st.SearchStrategy[Any]:
        """Bodies that its handler takes, mostly."""
        return st.fixed_dictionaries(dict(self.needed), optional=dict(self.optional))


@dataclass(frozen=True)
class Call:
    """One well-formed message: a notify when its id is 0.

    Args:
        coded: whether the route goes by its code, if it has one.
        raw: the body as it goes over the wire.
    """

    id: int
    route: str
    coded: bool
    raw: bytes


@dataclass(frozen=True)
class Caller:
    """A client that keeps the protocol: each of its requests has exactly one answer.

    Args:
        door: which frontend it comes to.
        calls: what it sends, without waiting for answers.
    """

    door: int
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Guest:
    """A client that upgrades to WebSocket, and then sends these messages."""

    door: int
    messages: tuple[bytes, ...]


@dataclass(frozen=True)
class Stranger:
    """Whoever sends bytes to the port."""

    door: int
    chunks: tuple[bytes, ...]


@dataclass(frozen=True)
class Insider:
    """Another server of the cluster, with arguments that no server has.

    Args:
        method: of those that servers offer to each other.
        args: packed as they are.
    """

    method: str
    args: tuple[Any, ...]


Visit = Caller | Guest | Stranger | Insider


def _packed(body: Any) -> bytes:
    return json.dumps(body).encode("utf-8", "surrogatepass")


raw_bodies = values.map(_packed) | st.binary(max_size=60) | st.just(b"")
ids = st.integers(1, 40) | st.sampled_from([0, 127, 128, 2**31, MAX_ID]) | st.integers(0, MAX_ID)


def callers(doors: int, routes: tuple[Route, ...]) -> st.SearchStrategy[Caller]:
    """Clients of these routes, and of some that do not exist."""
    known = st.one_of(
        *(
            st.builds(Call, ids, st.just(route.name), st.booleans(), bodies)
            for route in routes
            for bodies in (route.bodies().map(_packed), raw_bodies)
        )
    )
    odd = st.sampled_from(["", "x", "a.b", "chat.chatHandler.__init__", "chat..", "no.such.route"])
    short = st.text(max_size=60).filter(lambda text: len(_utf8(text)) <= 255).map(_encodable)
    unknown = st.builds(Call, ids, odd | short, st.just(False), raw_bodies)
    calls = st.lists(known | known | known | unknown, min_size=1, max_size=25).map(tuple)
    return st.builds(Caller, st.integers(0, doors - 1), calls)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _encodable(text: str) -> str:
    return _utf8(text).decode()


def guests(doors: int) -> st.SearchStrategy[Guest]:
    """Packages of any kind, in any order, whole or not."""
    hello = st.builds(
        lambda system, user: package.encode(
            package.HANDSHAKE, _packed({"sys": system, "user": user})
        ),
        values | st.dictionaries(st.sampled_from(["type", "version", "dictVersion"]), values),
        values,
    )
    data = st.binary(max_size=40).map(lambda body: package.encode(package.DATA, body))
    headed = st.builds(
        lambda kind, size, body: bytes((kind,)) + size.to_bytes(3, "big") + body,
        st.integers(0, 255),
        st.integers(0, 2**24 - 1) | st.integers(0, 40),
        st.binary(max_size=40),
    )
    fine = st.sampled_from([HANDSHAKE, ACK, package.encode(package.HEARTBEAT)])
    anything = st.lists(fine | hello | data | headed, max_size=8)
    after = anything.map(lambda found: (HANDSHAKE, ACK, *found))
    return st.builds(Guest, st.integers(0, doors - 1), anything.map(tuple) | after)


def strangers(doors: int) -> st.SearchStrategy[Stranger]:
    """HTTP, frames, packages over TCP, and bytes that are none of them."""
    http = st.sampled_from([upgrade(), upgrade(path="/healthz"), upgrade(Upgrade=None), b"GET /"])
    frames = st.builds(
        lambda first, body: masked(body, first=first),
        st.integers(0, 255),
        st.binary(max_size=130),
    )
    packages = st.sampled_from([HANDSHAKE, ACK, HANDSHAKE[:7], HANDSHAKE + ACK])
    chunk = http | frames | packages | st.binary(min_size=1, max_size=80)
    start = st.lists(chunk, min_size=1, max_size=6)
    upgraded = st.lists(frames, max_size=6).map(lambda found: [upgrade(), *found])
    return st.builds(Stranger, st.integers(0, doors - 1), (start | upgraded).map(tuple))


def visits(
    doors: int, routes: tuple[Route, ...], methods: Sequence[str]
) -> st.SearchStrategy[list[Visit]]:
    """Some connections at once, and calls between servers.

    Args:
        doors: how many frontends there are.
        routes: what callers may ask for.
        methods: what insiders may call.
    """
    args = st.lists(packable | texts, max_size=6).map(tuple)
    insiders = st.builds(Insider, st.sampled_from(methods), args)
    good = callers(doors, routes)
    any_of: st.SearchStrategy[Visit] = good | good | guests(doors) | strangers(doors) | insiders
    return st.lists(any_of, min_size=1, max_size=16)
