"""What other servers may call here: a table from names to coroutines, with typed arguments."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from zchat.errors import BadRequest, ConfigError, RequestError

Method = Callable[..., Awaitable[Any]]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


class Methods:
    """The table. Arguments travel as a msgpack array; the annotations say what they must be."""

    def __init__(self) -> None:
        self._methods: dict[str, tuple[Method, msgspec.msgpack.Decoder[Any]]] = {}
        self._casts: dict[str, tuple[Callable[..., None], msgspec.msgpack.Decoder[Any]]] = {}

    def add(self, name: str, method: Method, like: Callable[..., Any] | None = None) -> None:
        """Let `method` answer calls of `name`.

        Args:
            like: whose parameters say what the arguments must be; `method` itself when None.

        Raises:
            ConfigError: its parameters cannot be filled from an array, or their annotations cannot
                be resolved.
        """
        self._methods[name] = method, _decoder(name, like or method)

    def add_cast(self, name: str, function: Callable[..., None]) -> None:
        """Let `function` take casts of `name`.

        Raises:
            ConfigError: see `add`.
        """
        self._casts[name] = function, _decoder(name, function)

    async def invoke(self, name: str, args: bytes) -> bytes:
        """Run a call; returns its packed result.

        Raises:
            RequestError: no such method, or the arguments do not fit it.
        """
        entry = self._methods.get(name)
        if entry is None:
            raise RequestError(f"no method {name}")
        method, decoder = entry
        return encode(await method(*_arguments(name, decoder, args)))

    def cast(self, name: str, args: bytes) -> None:
        """Run a cast.

        Raises:
            RequestError: no such cast, or the arguments do not fit it.
        """
        entry = self._casts.get(name)
        if entry is None:
            raise RequestError(f"no cast {name}")
        function, decoder = entry
        function(*_arguments(name, decoder, args))


def _arguments(name: str, decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> tuple[Any, ...]:
    try:
        return msgspec.structs.astuple(decoder.decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"arguments of {name}: {error}") from None


def _decoder(name: str, function: Callable[..., Any]) -> msgspec.msgpack.Decoder[Any]:
    """Reads an array into the parameters of `function`, its defaults included."""
    try:
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters.values()
        fields = [_field(parameter, hints) for parameter in parameters]
        arguments = msgspec.defstruct(
            "Arguments", fields, array_like=True, forbid_unknown_fields=True
        )
        return msgspec.msgpack.Decoder(arguments)
    except (TypeError, NameError) as error:
        raise ConfigError(f"{name} cannot be called by other servers: {error}") from error


def _field(parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
    if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
        raise TypeError(f"parameter {parameter.name} is not positional")
    wanted = hints.get(parameter.name, Any)
    if parameter.default is parameter.empty:
        return parameter.name, wanted
    default = functools.partial(_same, parameter.default)
    return parameter.name, wanted, msgspec.field(default_factory=default)


def _same(value: Any) -> Any:
    return value
