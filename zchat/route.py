"""A route names a handler: `serverType.handlerName.method` (pomelo wire 13.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """One parsed route."""

    server_type: str
    handler: str
    method: str

    @classmethod
    def parse(cls, text: str) -> Route | None:
        """The route in `text`, or None when it has not exactly three non-empty parts."""
        parts = text.split(".")
        return cls(*parts) if len(parts) == 3 and all(parts) else None

    def __str__(self) -> str:
        return f"{self.server_type}.{self.handler}.{self.method}"


def server_type(route: str) -> str:
    """What precedes the first dot; empty when there is none. Needs no parse on the hot path."""
    head, dot, _ = route.partition(".")
    return head if dot else ""
