"""How a journal is kept: what all workers that share its file must be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SYNCS = ("full", "normal", "off")


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of each channel."""

    count: int
    """The last so many publications."""

    age: float
    """Those that are at most so many seconds old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalOptions:
    """The options of a journal in a file.

    Raises:
        ValueError: `sync` is none of `SYNCS`, or a wait for another worker would end after the
            call that it is part of.
    """

    sync: str
    """`full`, `normal` or `off`: what an append that returned survives; docs/topics/delivery.md."""

    boot: str
    """Names this life of the machine: with sync other than `full`, what the last one wrote at its
    end may be gone, so a new era begins, with a new epoch for every channel."""

    retention: Retention

    new_epoch: Callable[[], str]
    """Makes the name of a numbering's life; never the same twice."""

    clock: Callable[[], int]
    """Milliseconds since 1970."""

    busy: float = 2.0
    """Seconds to wait for another worker's transaction: the most that a worker which was stopped
    inside one can hold up the others' appends, before they fail and are answered with 503."""

    patience: float = 3.0
    """Seconds that a call may take. A disk can hang, and a thread that waits for one cannot be
    ended: whoever waits for it is told so instead. Less than supervisord gives beyond the drain."""

    def __post_init__(self) -> None:
        if self.sync not in SYNCS:
            raise ValueError(f"sync {self.sync!r}: expected one of {', '.join(SYNCS)}")
        if self.busy >= self.patience:
            raise ValueError(f"patience {self.patience:g}: expected more than busy, {self.busy:g}")
