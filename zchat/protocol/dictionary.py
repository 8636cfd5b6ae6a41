"""Routes as 16-bit codes (pomelo wire 7).

Every process of a cluster builds the same table from the same routes, and tells it to clients in
the handshake. Clients may then send a code for any route in it; servers send codes for pushes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zchat.errors import ProtocolError
from zchat.protocol.fingerprint import fingerprint

__all__ = ["EMPTY", "MAX_CODE", "MAX_ROUTE", "RouteDictionary"]

MAX_CODE = 0xFFFF
MAX_ROUTE = 255
"""UTF-8 bytes of the longest route that its length byte can say (pomelo wire 11.5)."""

_MAX_FIELDS = 4096


class RouteDictionary:
    """Route to code and back. Without routes it is empty, which switches compression off.

    Handler routes are sorted as JavaScript sorts and numbered from 1; push routes follow in the
    order given. A route that occurs twice takes two numbers: the later one is used for sending,
    both are understood (pomelo wire 7.2).

    Args:
        handler_routes: every route that clients may call, on all server types of the cluster.
        push_routes: routes of pushes, in the order of the configuration.

    Raises:
        ValueError: more than 65,535 entries, or a route longer than 255 bytes of UTF-8.
    """

    __slots__ = ("_codes", "_fields", "_routes", "version")

    def __init__(self, handler_routes: Iterable[str] = (), push_routes: Iterable[str] = ()) -> None:
        self._codes: dict[str, int] = {}
        self._routes: dict[int, str] = {}
        self._fields: dict[str, tuple[int, bytes]] = {}
        for code, route in enumerate([*sorted(handler_routes, key=_utf16), *push_routes], start=1):
            self._add(route, code)
        self.version = fingerprint(self._codes) if self._codes else ""
        """What clients name to show that they have this table; `""` when it is empty."""

    @classmethod
    def from_wire(cls, codes: Mapping[str, Any], version: str) -> RouteDictionary:
        """The dictionary that a server sent as `sys.dict` and `sys.dictVersion`.

        Raises:
            ProtocolError: a code is no integer of 16 bits, or a route is too long.
        """
        dictionary = cls()
        try:
            for route, code in codes.items():
                dictionary._add(route, code)
        except ValueError as error:
            raise ProtocolError(f"the server's route dictionary: {error}") from None
        dictionary.version = version
        return dictionary

    def code(self, route: str) -> int | None:
        """The code to send for a route, if it has one."""
        return self._codes.get(route)

    def route(self, code: int) -> str:
        """The route that a code means.

        An unknown code becomes `#` and its number. No handler has such a route: the request is
        then answered like any other with an unknown route, and the log shows the code.
        """
        return self._routes.get(code) or f"#{code}"

    def field(self, route: str) -> tuple[int, bytes]:
        """A message's route field: flag bit 0 (1 for a code) and its bytes (pomelo wire 11.5).

        Fields are remembered. When 4,096 are, further routes are encoded anew each time.

        Raises:
            ValueError: the route is longer than 255 bytes of UTF-8.
        """
        field = self._fields.get(route)
        if field is None:
            field = self._encode(route)
            if len(self._fields) < _MAX_FIELDS:
                self._fields[route] = field
        return field

    def as_wire(self) -> dict[str, Any]:
        """The members of the handshake's `sys` that carry the table; none when it is empty.

        All four are sent or none: one client library aborts on a part (pomelo wire 17.3).
        """
        if not self._codes:
            return {}
        return {
            "dict": self._codes,
            "routeToCode": self._codes,
            "codeToRoute": {str(code): route for code, route in self._routes.items()},
            "dictVersion": self.version,
        }

    def __len__(self) -> int:
        return len(self._codes)

    def _add(self, route: str, code: object) -> None:
        if type(code) is not int or not 0 <= code <= MAX_CODE:
            raise ValueError(f"code {code!r} of route {route!r}; expected 0-{MAX_CODE}")
        _string_field(route)
        self._codes[route] = code
        self._routes[code] = route

    def _encode(self, route: str) -> tuple[int, bytes]:
        code = self._codes.get(route)
        return (0, _string_field(route)) if code is None else (1, code.to_bytes(2, "big"))


def _string_field(route: str) -> bytes:
    encoded = route.encode()
    if len(encoded) > MAX_ROUTE:
        raise ValueError(f"a route holds at most {MAX_ROUTE} bytes, not {len(encoded)}: {route!r}")
    return bytes((len(encoded),)) + encoded


def _utf16(route: str) -> bytes:
    """JavaScript compares strings by UTF-16 units; Python's order differs beyond the BMP."""
    return route.encode("utf-16-be")


EMPTY = RouteDictionary()
"""No codes; shared, because it never changes."""
