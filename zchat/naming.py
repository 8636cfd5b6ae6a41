"""How names are written: snake_case in Python, camelCase on the wire, limits for ids."""

from __future__ import annotations

import re

_SERVER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_WORD_BREAK = re.compile(r"_+([a-zA-Z0-9])")


def camel(name: str) -> str:
    """`entry_handler` as the wire writes it: `entryHandler`. A camelCase name stays as it is."""
    return _WORD_BREAK.sub(lambda match: match[1].upper(), name.strip("_"))


def pascal(name: str) -> str:
    """The class that a file holds: `entry_handler` names `EntryHandler`."""
    text = camel(name)
    return text[:1].upper() + text[1:]


def is_server_id(text: str) -> bool:
    """Whether supervisord, log files and ZeroMQ identities can all carry this id."""
    return _SERVER_ID.match(text) is not None
