"""How a server starts and stops: lists of steps, each with a name that the log shows at its turn.

starting 3/6 component Leaderboard
stopping 2/7 clients
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zchat.errors import StartError, ZchatError

logger = logging.getLogger("zchat.admin")

Work = Callable[..., Awaitable[object] | None]
"""Async or plain."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a start or a stop."""

    name: str
    """Of what it starts or stops."""
    run: Work
    """Does it; takes no arguments."""


async def run(work: Work, *args: Any) -> None:
    """Call something that may be async or plain."""
    result = work(*args)
    if inspect.isawaitable(result):
        await result


async def start(server_id: str, steps: Sequence[Step]) -> None:
    """Take the steps, one after the other.

    Raises:
        StartError: of the first one that fails, which is the last one taken.
    """
    for number, step in enumerate(steps, start=1):
        logger.info("starting %d/%d %s", number, len(steps), step.name)
        try:
            await run(step.run)
        except Exception as error:
            if not isinstance(error, OSError | ZchatError):  # its author needs the traceback
                logger.exception("%s cannot start", step.name)
            reason = _reason(error).removeprefix(f"{server_id}: ")
            raise StartError(f"{server_id}: {step.name} cannot start: {reason}") from error


async def stop(steps: Sequence[Step]) -> None:
    """Take the steps; one that fails is logged, and keeps no other from its turn."""
    for number, step in enumerate(steps, start=1):
        logger.info("stopping %d/%d %s", number, len(steps), step.name)
        try:
            await run(step.run)
        except Exception:
            logger.exception("%s could not stop", step.name)


async def run_hooks(hooks: Sequence[Work], *args: Any) -> None:
    """Call what nobody waits for; one that fails is logged, and keeps no other from its turn."""
    for hook in hooks:
        try:
            await run(hook, *args)
        except Exception:
            logger.exception("hook %s failed", name_of(hook))


def name_of(work: object) -> str:
    """A function or class as its author calls it."""
    return getattr(work, "__qualname__", type(work).__qualname__)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, ZchatError) else f"{type(error).__name__}: {error}"
