"""What does not fit the schema of its route, and where."""

from __future__ import annotations

from zchat.errors import ProtocolError

__all__ = ["Misfit"]


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
