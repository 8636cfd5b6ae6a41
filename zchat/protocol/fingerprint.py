"""Versions of tables that clients keep: the digest of what JavaScript would write (wire 6.3)."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import md5
from typing import Any

__all__ = ["fingerprint"]


def fingerprint(*values: Any) -> str:
    """Base64 of the MD5 of the values' JSON texts, one behind the other, as the reference has it.

    Raises:
        ValueError: a string with half a surrogate pair.
    """
    written = "".join(
        json.dumps(_as_javascript(value), separators=(",", ":"), ensure_ascii=False)
        for value in values
    )
    return b64encode(md5(written.encode(), usedforsecurity=False).digest()).decode()


def _as_javascript(value: Any) -> Any:
    """With the members of objects in JavaScript's order: array indexes first, by their numbers."""
    if not isinstance(value, dict):
        return value
    indexes = sorted((key for key in value if _is_index(key)), key=int)
    return {key: _as_javascript(value[key]) for key in [*indexes, *value]}


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdigit() and str(int(key)) == key and int(key) < 2**32 - 1
