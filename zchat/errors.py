"""Every error zchat raises on purpose.

    ZchatError
     ├── ConfigError            servers.json or settings.toml; names file, key and line
     ├── StartError             a part of a server cannot start; names server and part
     ├── ProtocolError          bytes that break the client wire
     ├── ClusterError           a peer sent an envelope this version cannot read
     └── RequestError           what a request is answered with: {code, error, ...}
          ├── BadRequest        400   a field is missing or wrong
          ├── Unavailable       503   the server meant is unreachable or busy; try again
          └── TimedOut          504   no answer within the deadline; the outcome is unknown

An exception that is none of these is answered with `{code: 500, error: "internal error"}` and its
traceback goes to the log: see `framework/handlers/dispatcher.py`, the only place that maps errors
to codes.
"""

from __future__ import annotations

from typing import Any, ClassVar

_MARK = "@"
"""The field that travels between servers only: [name of the class, server]."""


class ZchatError(Exception):
    """Base of all errors raised by zchat on purpose."""


class ConfigError(ZchatError):
    """A configuration file is wrong. The text names file, key and, where known, the line."""


class StartError(ZchatError):
    """A part of a server cannot start. The text names the server, the part and the reason."""


class ProtocolError(ZchatError):
    """Received bytes break the client wire; the connection they came on is closed."""


class ClusterError(ZchatError):
    """A message between servers cannot be read; it is dropped and counted."""


class RequestError(ZchatError):
    """A request fails and the client is told so.

    Args:
        message: what the client reads in `error`.
        code: the answer's `code`.
        fields: further members of the answer, such as `path` or `retry`. JSON must be able to hold
            them; one called `error` stands in the answer in place of the message.
    """

    code = 500
    server = ""
    """Of a failed call: the id of the server that it failed at. Clients are not told."""

    _by_code: ClassVar[dict[int, type[RequestError]]] = {}
    _by_name: ClassVar[dict[tuple[str, int], type[RequestError]]] = {}

    def __init_subclass__(cls) -> None:
        cls._by_code.setdefault(cls.code, cls)
        cls._by_name.setdefault((cls.__name__, cls.code), cls)

    def __init__(self, message: str, *, code: int | None = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.fields = fields

    @classmethod
    def of(cls, code: int, message: str, fields: dict[str, Any]) -> RequestError:
        """The error that another server raised: as its class, or else as the one with its code.

        Its constructor is not asked: an application's may want other arguments.

        Args:
            fields: its fields, or what `mark` made of them.
        """
        match fields.get(_MARK):
            case [str(name), str(server)]:
                fields = {key: value for key, value in fields.items() if key != _MARK}
            case _:
                name = server = ""
        by_code = RequestError if code == RequestError.code else cls._by_code.get(code)
        known = cls._by_name.get((name, code)) or by_code or RequestError
        error = known.__new__(known)
        RequestError.__init__(error, message, code=code)
        error.fields = fields
        error.server = server
        return error

    def mark(self, server: str) -> dict[str, Any]:
        """The fields with what makes the same error at another server, for `of`.

        Args:
            server: where it was raised, unless it came from yet another one.
        """
        return {**self.fields, _MARK: [type(self).__name__, self.server or server]}

    def body(self) -> dict[str, Any]:
        """The answer that the client gets."""
        return {"code": self.code, "error": self.message, **self.fields}


class BadRequest(RequestError):
    """A field is missing or wrong; `path` names it where it is known."""

    code = 400


class Unavailable(RequestError):
    """The server meant is unreachable or its queue is full; nothing was done, try again.

    The answer has `retry: true`, unless the fields say otherwise.
    """

    code = 503

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message, **{"retry": True, **fields})


class TimedOut(RequestError):
    """No answer came within the deadline; whether the work was done is unknown."""

    code = 504
