"""Tokens by which a frontend proves that publications reach it, at the owner that waits for them.

A token and the call that names it come by different sockets, so either may be first.
"""

from __future__ import annotations

import asyncio

from zchat.errors import Unavailable

_REMEMBERED = 1000


class LinkTokens:
    """The tokens meant for this owner: `OWNER/...`.

    Those that came before they were waited for are remembered: 1,000 of them. When full, the
    oldest is forgotten and counted in `forgotten`, and who waits for it tries again.

    Args:
        owner: this server's id.
        timeout: seconds that a token is waited for.
    """

    def __init__(self, owner: str, timeout: float = 1.0) -> None:
        self._prefix = f"{owner}/".encode()
        self._timeout = timeout
        self._early: dict[bytes, None] = {}
        self._waiting: dict[bytes, asyncio.Event] = {}
        self.forgotten = 0

    def seen(self, token: bytes) -> None:
        """The XPUB showed a token; others' are ignored."""
        if not token.startswith(self._prefix):
            return
        waiting = self._waiting.get(token)
        if waiting is not None:
            waiting.set()
            return
        self._early[token] = None
        if len(self._early) > _REMEMBERED:
            del self._early[next(iter(self._early))]
            self.forgotten += 1

    async def wait(self, token: bytes) -> None:
        """Return once the XPUB has shown the token; each token is waited for once.

        Raises:
            Unavailable: it did not come in time.
        """
        if token in self._early:
            del self._early[token]
            return
        event = self._waiting[token] = asyncio.Event()
        try:
            async with asyncio.timeout(self._timeout):
                await event.wait()
        except TimeoutError:
            raise Unavailable("no link to our publications yet") from None
        finally:
            del self._waiting[token]
