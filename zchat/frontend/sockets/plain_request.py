"""The usual HTTP request of a client, read at one go: a GET that came whole, and nothing odd in it.

    GET /path HTTP/1.1 CRLF
    name: value CRLF            each name once
    CRLF
    what comes after it

It is what Tornado would read too; whatever is not exactly so is left to Tornado.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tornado.httputil import RequestStartLine

_LONGEST: Final = 8192
_REQUEST: Final = re.compile(
    rb"GET (/[!-~]*) HTTP/1\.1"
    rb"((?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*)*)"
    rb"\r\n\r\n"
)


class PlainRequest(NamedTuple):
    """One of them."""

    line: RequestStartLine
    headers: dict[str, str]
    """By their names in lower case."""
    early: bytes
    """What came behind it."""


def read_request(data: bytes) -> PlainRequest | None:
    """The request that a client's first bytes are; None when they are anything else."""
    match = _REQUEST.match(data, 0, _LONGEST)
    if match is None:
        return None
    headers: dict[str, str] = {}
    lines = match[2].decode("latin-1").split("\r\n")
    for header in lines[1:]:
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip(" \t")
    if len(headers) != len(lines) - 1:  # a name that comes twice
        return None
    line = RequestStartLine("GET", match[1].decode("ascii"), "HTTP/1.1")
    return PlainRequest(line, headers, data[match.end() :])
