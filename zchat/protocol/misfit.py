"""What does not fit the schema of its route, and where."""

from __future__ import annotations

from typing import Any

from zchat.errors import ProtocolError


class Misfit(ProtocolError, ValueError):
    """A value, or bytes, that do not fit the schema.

    Args:
        problem: what was expected and what was found.
        path: the field, such as `path[2].x`; empty for the message itself.
    """

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.path = path

    def within(self, place: str) -> Misfit:
        """The same, as seen from the message round it; `place` is a field or `[index]`."""
        if not self.path:
            return Misfit(self.problem, place)
        dot = "" if self.path.startswith("[") else "."
        return Misfit(self.problem, f"{place}{dot}{self.path}")


def shown(value: Any) -> str:
    """A value as a problem names it: in few words, whatever a client made it."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"one of {value.bit_length()} bits"
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
