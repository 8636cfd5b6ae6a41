"""Pomelo's proto files, and the form of them that the handshake carries (pomelo wire 8.2, 8.3).

A file is a JSON object: route -> message, and `message NAME` -> message for those that several
routes use. A message is an object as well:

    "OPTION TYPE NAME": tag     a field; OPTION is required, optional or repeated
    "message NAME": {...}       a message for the fields of this one

    TYPE is uInt32, int32, sInt32, float, double, string, or a NAME of the message round the field
    or of the top.

The parsed form of a message is field name -> {option, type, tag}, with its own messages as
`__messages` and tag -> name as `__tags`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from zchat.protocol.dictionary import MAX_ROUTE
from zchat.protocol.protobuf import MAX_DEPTH, MessageType
from zchat.protocol.scalars import SCALARS

__all__ = ["MAX_TAG", "Parsed", "ProtoFile", "SchemaError", "compile_routes", "parse"]

MAX_TAG = 2**29 - 1
OPTIONS = ("required", "optional", "repeated")
SHARED = "message "
"""What the names of shared messages begin with."""

Parsed = dict[str, Any]
"""Route, or `message NAME`, to the parsed form of a message."""

Key = tuple[str, ...]


class SchemaError(ValueError):
    """A proto file is wrong.

    Args:
        key: the way to the wrong member from the top of the file.
        problem: what was expected and what was found.
    """

    def __init__(self, key: Key, problem: str) -> None:
        super().__init__(f"{'.'.join(key)}: {problem}" if key else problem)
        self.key = key
        self.problem = problem


class ProtoFile(NamedTuple):
    """What a file says."""

    messages: Parsed

    dropped: tuple[Key, ...]
    """Fields whose tag another field of their message has. The reference leaves them out."""


def parse(file: Any) -> ProtoFile:
    """Read the JSON value of a proto file.

    Raises:
        SchemaError: a member is none of the above; or a type is not known.
    """
    if not isinstance(file, dict):
        raise SchemaError((), "expected an object of routes")
    shared = frozenset(name.removeprefix(SHARED) for name in file if name.startswith(SHARED))
    dropped: list[Key] = []
    messages: Parsed = {}
    for name, members in file.items():
        route = name.removeprefix(SHARED)
        if not route.isprintable() or not 0 < len(route.encode()) <= MAX_ROUTE:
            raise SchemaError((name,), f"expected a route of 1 to {MAX_ROUTE} bytes")
        messages[name] = _Message((name,), members, shared, dropped).parsed
    return ProtoFile(messages, tuple(dropped))


class _Message:
    """One message of a file while it is parsed."""

    def __init__(self, key: Key, members: Any, shared: frozenset[str], dropped: list[Key]) -> None:
        if not isinstance(members, dict):
            raise SchemaError(key, f"expected an object of fields, found {members!r:.40}")
        if len(key) > MAX_DEPTH:
            raise SchemaError(key, f"more than {MAX_DEPTH} levels of messages")
        self._key = key
        self._known = shared.union(SCALARS) | frozenset(_nested_names(members))
        self._shared = shared
        self._dropped = dropped
        self._tags: dict[str, str] = {}
        self.parsed: dict[str, Any] = {}
        nested: dict[str, Any] = {}
        for member, value in members.items():
            match member.split(" "):
                case ["message", name] if name:
                    inner = _Message((*key, member), value, shared, dropped)
                    nested[name] = inner.parsed
                case [option, kind, name] if option in OPTIONS and name:
                    self._field(member, option, kind, name, value)
                case _:
                    raise SchemaError(
                        (*key, member), "expected `required|optional|repeated TYPE NAME`"
                    )
        self.parsed["__messages"] = nested
        self.parsed["__tags"] = self._tags

    def _field(self, member: str, option: str, kind: str, name: str, tag: Any) -> None:
        key = (*self._key, member)
        if kind not in self._known:
            known = ", ".join(sorted(self._known))
            raise SchemaError(key, f"unknown type {kind}; known: {known}")
        if type(tag) is not int or not 1 <= tag <= MAX_TAG:
            raise SchemaError(key, f"expected a tag from 1 to {MAX_TAG}, found {tag!r:.40}")
        if name.startswith("__") or not name.isprintable():
            raise SchemaError(key, "expected a printable name that does not begin with __")
        if name in self.parsed:
            raise SchemaError(key, f"the message has another field {name}")
        if str(tag) in self._tags:
            self._dropped.append(key)
            return
        self.parsed[name] = {"option": option, "type": kind, "tag": tag}
        self._tags[str(tag)] = name


def _nested_names(members: Mapping[str, Any]) -> Iterator[str]:
    return (name.removeprefix(SHARED) for name in members if name.startswith(SHARED))


def compile_routes(messages: Mapping[str, Any]) -> dict[str, MessageType]:
    """What writes and reads the bodies of each route.

    Args:
        messages: a parsed form; from the network or from `parse`.

    Raises:
        SchemaError: it is no such form.
    """
    compiler = _Compiler(messages)
    return {
        route: compiler.compile(definition, (route,))
        for route, definition in messages.items()
        if not route.startswith(SHARED)
    }


class _Compiler:
    """Makes each message once, also those that contain themselves."""

    def __init__(self, messages: Mapping[str, Any]) -> None:
        self._messages = messages
        self._made: dict[int, MessageType] = {}  # by the identity of the definition

    def compile(self, definition: Any, key: Key) -> MessageType:
        made = self._made.get(id(definition))
        if made is not None:
            return made
        if not isinstance(definition, dict) or len(key) > 2 * MAX_DEPTH:
            raise SchemaError(key, "expected the fields of a message")
        made = self._made[id(definition)] = MessageType()
        nested = definition.get("__messages")
        tags: set[int] = set()
        for name, field in definition.items():
            if name.startswith("__"):
                continue
            match field:
                case {"option": str(option), "type": str(kind), "tag": int(tag)} if (
                    option in OPTIONS and 1 <= tag <= MAX_TAG and tag not in tags
                ):
                    tags.add(tag)
                    made.add(option, self._kind(kind, nested, (*key, name)), name, tag)
                case _:
                    raise SchemaError((*key, name), f"expected a field, found {field!r:.60}")
        return made

    def _kind(self, kind: str, nested: Any, key: Key) -> str | MessageType:
        # Scalars come first, in the reference too: a message of such a name is never meant.
        if kind in SCALARS:
            return kind
        definition = nested.get(kind) if isinstance(nested, dict) else None
        if definition is None:
            definition = self._messages.get(SHARED + kind)
        if definition is None:
            raise SchemaError(key, f"unknown type {kind}")
        return self.compile(definition, key)
