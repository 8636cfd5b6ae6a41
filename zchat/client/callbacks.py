"""Functions that are called when something happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

logger = logging.getLogger("zchat.client")


class Callbacks(Generic[T]):
    """Those for one kind of event, in the order in which they came.

    They may come and go while they are called: this counts from the next event on.
    """

    __slots__ = ("_callbacks",)

    def __init__(self) -> None:
        self._callbacks: tuple[Callable[[T], object], ...] = ()

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def add(self, callback: Callable[[T], object]) -> Callable[[], None]:
        """Have this one called as well; returns a function that ends this."""
        self._callbacks = (*self._callbacks, callback)

        def off() -> None:
            left = list(self._callbacks)
            if callback in left:
                left.remove(callback)
            self._callbacks = tuple(left)

        return off

    def call(self, argument: T) -> None:
        """Call all of them; what one raises is logged."""
        for callback in self._callbacks:
            try:
                callback(argument)
            except Exception:
                logger.exception("callback %r failed", callback)
