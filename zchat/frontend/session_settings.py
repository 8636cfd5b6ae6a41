"""The settings of one session, and which copies of them are stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_REMEMBERED = 100


class SessionSettings:
    """Values by key, each with the version of the session at which it last changed.

    A copy is stale for a key that changed after the copy was made. It is so for each key by itself:
    two handlers that change different settings at the same time do not get in each other's way.

    Most sessions are given their settings once. While all were set at the same version one number
    says it for all, and while none was taken out nothing is kept of that: 250 bytes less for each
    connection.

    Keys that were taken out are remembered, 100 of them. When full, the one that went first is
    forgotten, and copies that are older than that are stale for every key that is not there.

    Attributes:
        values: what is set; change it with `merge` only.
    """

    __slots__ = ("_forgotten", "_gone", "_version", "_versions", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._version = 0  # of all keys, while there are no `_versions`
        self._versions: dict[str, int] | None = None
        # Likewise, of keys that were taken out; oldest first.
        self._gone: dict[str, int] | None = None
        self._forgotten = 0  # the version at which the last forgotten key was taken out

    def merge(self, values: Mapping[str, Any], version: int) -> None:
        """Set these; a value of None takes the key out.

        Args:
            version: the session's from now on.
        """
        versions = {key: self._changed(key) for key in self.values} | dict.fromkeys(values, version)
        kept = {**self.values, **values}
        self.values = {key: value for key, value in kept.items() if value is not None}
        at = {versions[key] for key in self.values}
        self._version = max(at, default=0)
        self._versions = {key: versions[key] for key in self.values} if len(at) > 1 else None
        gone = self._gone or {}
        for key, value in values.items():
            gone.pop(key, None)
            if value is None:
                gone[key] = version
        while len(gone) > _REMEMBERED:
            self._forgotten = gone.pop(next(iter(gone)))
        self._gone = gone or None

    def is_stale(self, keys: Iterable[tuple[str, int]]) -> bool:
        """Whether any of these (key, version of the copy) has changed since."""
        return any(self._changed(key) > seen for key, seen in keys)

    def _changed(self, key: str) -> int:
        if key in self.values:
            return self._version if self._versions is None else self._versions[key]
        return (self._gone or {}).get(key, self._forgotten)
