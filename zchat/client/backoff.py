"""How long to wait before the next attempt to connect."""

from __future__ import annotations

from collections.abc import Callable
from random import random as uniform


class Backoff:
    """Exponential backoff with full jitter.

    A delay is drawn evenly from 0 to a ceiling that doubles with each attempt, so clients that lost
    their server together come back spread out.

    Args:
        base: seconds of the first ceiling.
        cap: seconds that no ceiling exceeds.
        steady: seconds that a connection must have lasted for the ceiling to start again at
            `base`; without it a server that lets in and throws out would be asked without end.
        random: draws from 0.0 to 1.0.
    """

    __slots__ = ("_attempt", "_random", "base", "cap", "steady")

    def __init__(
        self,
        base: float = 0.5,
        cap: float = 30.0,
        steady: float = 5.0,
        random: Callable[[], float] = uniform,
    ) -> None:
        self.base = base
        self.cap = cap
        self.steady = steady
        self._random = random
        self._attempt = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        ceiling = self.base * 2.0**self._attempt
        if ceiling < self.cap:
            self._attempt += 1
        return self._random() * min(ceiling, self.cap)

    def lasted(self, seconds: float) -> None:
        """A connection ended after this time."""
        if seconds >= self.steady:
            self._attempt = 0

    def restart(self) -> None:
        """What was tried has worked: the next delay is drawn up to `base`."""
        self._attempt = 0
