"""How names are written: snake_case in Python, camelCase on the wire."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD_BREAK = re.compile(r"_+([a-zA-Z0-9])")


@lru_cache(1000)  # `app.rpc` asks with each call
def camel(name: str) -> str:
    """`entry_handler` as the wire writes it: `entryHandler`. A camelCase name stays as it is."""
    return _WORD_BREAK.sub(lambda match: match[1].upper(), name.strip("_"))


def pascal(name: str) -> str:
    """The class that a file holds: `entry_handler` names `EntryHandler`."""
    text = camel(name)
    return text[:1].upper() + text[1:]
