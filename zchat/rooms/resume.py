"""By what an owner knows a client again that comes back on another connection.

A client shows `SECRET.ATTEMPT`: a secret that it keeps from connection to connection, and a number
that rises with each attempt to come in. An attempt that was held up on its way, and arrives after a
later one, is known by its lower number. A client that does not count is always at attempt 0.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import NamedTuple

MAX_SECRET = 64
"""Characters of the longest secret that is taken from a client."""

_MAX_DIGITS = 16


class Token(NamedTuple):
    """What a client shows."""

    secret: str
    """ASCII; empty when there is none, and nothing can take the session's place."""
    attempt: int = 0

    @classmethod
    def read(cls, text: str) -> Token:
        """What this, which comes from a client, says; NO_TOKEN when it can be no token."""
        secret, dot, number = text.rpartition(".")
        numbered = dot and number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS
        token = cls(secret, int(number)) if numbered else cls(text)
        return token if _usable(token.secret) else NO_TOKEN

    def is_of(self, other: Token) -> bool:
        """Whether both are of one client."""
        return bool(self.secret) and compare_digest(self.secret, other.secret)

    def next(self) -> Token:
        """For the client's next attempt."""
        return Token(self.secret, self.attempt + 1)

    def __str__(self) -> str:
        return f"{self.secret}.{self.attempt}" if self.attempt else self.secret


NO_TOKEN = Token("")


def _usable(secret: str) -> bool:
    return 0 < len(secret) <= MAX_SECRET and secret.isascii()
