"""A token bucket that needs one number per client.

A bucket of `burst` tokens refills at `per_second`. What it holds follows from the moment at which
it will be full again, so that moment is all a connection keeps (ten thousand of them keep two each)
and the figures that all connections share live here. Time is an argument.
"""

from __future__ import annotations


class Rate:
    """So many per second in the long run, so many at once.

    Args:
        per_second: tokens that come back per second.
        burst: tokens of a full bucket.

    Raises:
        ValueError: one of them is not positive.
    """

    __slots__ = ("_seconds_each", "_window")

    def __init__(self, per_second: float, burst: float) -> None:
        if not (per_second > 0 and burst > 0):
            raise ValueError(f"a rate must be positive, not {per_second!r} with burst {burst!r}")
        self._seconds_each = 1 / per_second
        self._window = burst / per_second + 1e-6  # sums of fractions are not exact

    def spend(self, full_at: float, now: float, tokens: float) -> float:
        """Takes tokens out of a bucket, even if there are too few: see `overdrawn`.

        Args:
            full_at: when the bucket will be full; anything in the past, such as 0.0, if it is.

        Returns:
            the new `full_at`.
        """
        if full_at < now:
            full_at = now
        return full_at + tokens * self._seconds_each

    def overdrawn(self, full_at: float, now: float) -> bool:
        """Whether more was taken out than there was."""
        return full_at - now > self._window

    def wait(self, full_at: float, now: float) -> float:
        """Seconds until no more is taken out than there was; 0.0 if it is so now."""
        return max(0.0, full_at - now - self._window)
