"""The settings of one session, and which copies of them are stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_REMEMBERED = 100


class SessionSettings:
    """Values by key, each with the version of the session at which it last changed.

    A copy is stale for a key that changed after the copy was made. It is so for each key by itself:
    two handlers that change different settings at the same time do not get in each other's way.

    Keys that were taken out are remembered, 100 of them. When full, the one that went first is
    forgotten, and copies that are older than that are stale for every key that is not there.

    Attributes:
        values: what is set; change it with `merge` only.
    """

    __slots__ = ("_forgotten", "_gone", "_versions", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._versions: dict[str, int] = {}
        self._gone: dict[str, int] = {}  # likewise, of keys that were taken out; oldest first
        self._forgotten = 0  # the version at which the last forgotten key was taken out

    def merge(self, values: Mapping[str, Any], version: int) -> None:
        """Set these; a value of None takes the key out.

        Args:
            version: the session's from now on.
        """
        kept = {**self.values, **values}
        self.values = {key: value for key, value in kept.items() if value is not None}
        for key, value in values.items():
            self._gone.pop(key, None)
            self._versions.pop(key, None)
            (self._gone if value is None else self._versions)[key] = version
        while len(self._gone) > _REMEMBERED:
            self._forgotten = self._gone.pop(next(iter(self._gone)))

    def is_stale(self, keys: Iterable[tuple[str, int]]) -> bool:
        """Whether any of these (key, version of the copy) has changed since."""
        return any(self._changed(key) > seen for key, seen in keys)

    def _changed(self, key: str) -> int:
        return self._versions.get(key) or self._gone.get(key) or self._forgotten
