"""What a server shows of itself: its own figures and those of its parts, in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Protocol


class Shown(Protocol):
    """A part that has something to show."""

    def status(self) -> dict[str, Any]:
        """Its figures by name; under `counters` what it has counted."""


def with_parts(
    figures: Mapping[str, Any], counters: Mapping[str, int], parts: Iterable[Shown | None]
) -> dict[str, Any]:
    """All figures, and under `counters` all counters that have counted something.

    Args:
        figures: the server's own.
        counters: likewise.
        parts: None stands for one that this server has not.
    """
    status, total = dict(figures), Counter(counters)
    for part in parts:
        if part is not None:
            shown = dict(part.status())
            total.update(shown.pop("counters", {}))
            status.update(shown)
    status["counters"] = {name: count for name, count in sorted(total.items()) if count}
    return status
