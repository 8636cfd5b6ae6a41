"""What config/ says about the client wire: codes of routes and schemas of bodies.

    config/dictionary.json     a list of push routes that get codes; handlers' routes have them
    config/serverProtos.json   schemas of what servers say, by route (see `zchat.protocol.schema`)
    config/clientProtos.json   schemas of what clients say

All three are Pomelo's own files, may be absent, and are read once, at the start. All servers of a
cluster have to read the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from zchat.config.source import read_json, show
from zchat.errors import ConfigError
from zchat.frontend.publications import HISTORY_LOST
from zchat.protocol.dictionary import MAX_CODE, MAX_ROUTE, RouteDictionary
from zchat.protocol.message import data_push
from zchat.protocol.protos import Protos
from zchat.protocol.schema import Parsed, SchemaError, parse
from zchat.rooms.stream import MAX_BODY_BYTES
from zchat.rooms.wish import PRESENCE

DICTIONARY = "dictionary.json"
SERVER_PROTOS = "serverProtos.json"
CLIENT_PROTOS = "clientProtos.json"


class Wire(NamedTuple):
    """How routes and bodies are written on this cluster's connections."""

    dictionary: RouteDictionary
    protos: Protos

    def push(self, route: str, body: Any) -> bytes:
        """A push as a complete package.

        Raises:
            ValueError: the body does not fit the route's schema, or is longer than 256 KiB like
                that of a publication; or the route is too long.
            TypeError: the body is no JSON.
        """
        encoded = self.protos.at_server.encode(route, body)
        if len(encoded) > MAX_BODY_BYTES:
            raise ValueError(f"a body of {len(encoded)} bytes; at most {MAX_BODY_BYTES} are sent")
        return data_push(route, encoded, self.dictionary)


def load_wire(folder: Path, handler_routes: Iterable[str]) -> Wire:
    """Read the three files of a project.

    Args:
        folder: where they are, `config/` of the project.
        handler_routes: what clients may call, on all server types.

    Raises:
        ConfigError: one of them is wrong; file, line and key are named.
    """
    handlers = list(handler_routes)
    pushes = _push_routes(folder / DICTIONARY)
    if len(handlers) + len(pushes) > MAX_CODE:
        found = f"{len(handlers)} handlers and {len(pushes)} pushes"
        raise ConfigError(f"{folder / DICTIONARY}: {found}; at most {MAX_CODE} routes have codes")
    protos = Protos(_messages(folder / SERVER_PROTOS), _messages(folder / CLIENT_PROTOS))
    return Wire(RouteDictionary(handlers, pushes), protos)


def _push_routes(path: Path) -> list[str]:
    if not path.exists():
        return []
    value, source = read_json(path)
    if not isinstance(value, list):
        raise source.error((), f"expected a list of push routes, found {show(value)}")
    for index, route in enumerate(value):
        if not isinstance(route, str) or not route.isprintable() or not _has_room(route):
            expected = f"a route of 1 to {MAX_ROUTE} bytes"
            raise source.error((index,), f"expected {expected}, found {show(route)}")
    return value


def _has_room(route: str) -> bool:
    return 0 < len(route.encode()) <= MAX_ROUTE


def _messages(path: Path) -> Parsed:
    """The parsed form of a proto file.

    A tag that two fields have is an error here: Pomelo leaves the second field out, and says
    nothing.
    """
    if not path.exists():
        return {}
    value, source = read_json(path)
    try:
        file = parse(value)
    except SchemaError as error:
        raise source.error(error.key, error.problem) from None
    for key in file.dropped:
        raise source.error(key, "another field of this message has the same tag")
    for route in (HISTORY_LOST, PRESENCE):
        if route in file.messages:
            raise source.error((route,), "this push is zchat's own, and JSON")
    return file.messages
