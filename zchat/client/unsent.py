"""Sends that are not acknowledged yet, in order, and what becomes of each.

One is on the wire at a time: were two, and only the first refused for a moment, they would swap.
One whose outcome is unknown is sent again with the same id (`cid`), by which the server knows it,
before any later one. It decides and does no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zchat.client.backoff import Backoff
from zchat.client.transport import Disconnected
from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.rooms.stream import StreamPosition

_TOO_MANY_REQUESTS = 429


@dataclass(slots=True, eq=False)
class Send:
    """One of them."""

    cid: str
    """The sender's own id for it."""

    route: str

    body: dict[str, Any]
    """What is sent, `cid` included."""

    uncertain: bool = False
    """Whether it may have been published: an attempt to send it ended without an answer."""

    place: StreamPosition | None = None
    """Where it stands, once it was seen there."""


class Unsent:
    """A queue of sends to one room. It holds them back until `go_on`, and again after `hold`.

    Args:
        prefix: begins each cid; it must be one that nobody has used, or will.
        limit: how many may wait. When full, `add` fails with `Unavailable`.
        backoff: the pauses before a send is sent again.
    """

    def __init__(self, prefix: str, limit: int = 1000, backoff: Backoff | None = None) -> None:
        self.limit = limit
        self.refused_full = 0
        """Sends that found the queue full."""
        self.repeated = 0
        """Attempts after the first ones."""
        self._prefix = prefix
        self._backoff = Backoff(base=0.1, cap=2.0) if backoff is None else backoff
        self._count = 0
        self._sends: dict[str, Send] = {}  # by cid, oldest first
        self._on_wire: Send | None = None
        self._held = True
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._sends)

    @property
    def due(self) -> float | None:
        """When `next` has one to send, a time of the caller's clock; None: nothing is to be done
        before something happens."""
        if self._held or self._on_wire is not None or not self._sends:
            return None
        return self._due

    def add(self, route: str, body: dict[str, Any], cid: str = "") -> Send:
        """Queue a send.

        Args:
            cid: the caller's own id for it; by default one is made.

        Raises:
            Unavailable: too many wait.
            ValueError: one with this cid waits already.
        """
        if len(self._sends) >= self.limit:
            self.refused_full += 1
            raise Unavailable(f"{self.limit} sends wait to be acknowledged")
        if not cid:
            self._count += 1
            cid = f"{self._prefix}-{self._count}"
        if cid in self._sends:
            raise ValueError(f"cid {cid!r} is on its way already; expected a new one for each send")
        send = self._sends[cid] = Send(cid, route, {**body, "cid": cid})
        return send

    def next(self, now: float) -> Send | None:
        """The one to put on the wire now, if it is time. Its outcome must be told."""
        due = self.due
        if due is None or now < due:
            return None
        self._on_wire = send = next(iter(self._sends.values()))
        return send

    def acknowledged(self, send: Send) -> None:
        """It is published."""
        self._off_wire(send)
        self._sends.pop(send.cid, None)
        self._restart()

    def failed(self, send: Send, error: Exception, now: float) -> bool:
        """An attempt to send it failed.

        Returns:
            whether this is final, and the next one goes: it is published when it has a `place`,
            or else the error is its sender's. Otherwise it is sent again, after a pause.
        """
        pause = _pause(error)
        if send.place is not None or pause is None or send.cid not in self._sends:
            self.acknowledged(send)
            return True
        self._off_wire(send)
        send.uncertain = send.uncertain or _is_uncertain(error)
        self.repeated += 1
        self._due = now + max(pause, self._backoff.next())
        return False

    def seen(self, cid: str, place: StreamPosition) -> Send | None:
        """A publication with this id was read.

        Returns:
            the send that is acknowledged by this; None also when its answer is still waited for.
        """
        send = self._sends.get(cid)
        if send is None or not (send is self._on_wire or send.uncertain):
            return None  # one that never left cannot be published: somebody else has this id
        send.place = place
        return None if send is self._on_wire else self._sends.pop(cid)

    def hold(self) -> None:
        """Send nothing: there is no connection, or it is not in the room."""
        self._held = True

    def go_on(self) -> None:
        """The room is entered, and all that was missed has been `seen`."""
        self._held = False
        self._restart()

    def discard(self, send: Send) -> None:
        """Its sender gave up. Once on the wire it may be published nevertheless."""
        self._sends.pop(send.cid, None)

    def give_up_uncertain(self) -> list[Send]:
        """Take out what may have been published, because that cannot be found out any more.

        To send it again could publish it twice: where history has gone, the server has forgotten
        its id as well.
        """
        sends = [s for s in self._sends.values() if s.uncertain and s is not self._on_wire]
        for send in sends:
            del self._sends[send.cid]
        return sends

    def clear(self) -> list[Send]:
        """Take out all of them: none is sent again.

        Returns:
            those that are not on the wire. The outcome of the one that is will still be told.
        """
        sends = [send for send in self._sends.values() if send is not self._on_wire]
        self._sends.clear()
        return sends

    def _off_wire(self, send: Send) -> None:
        if self._on_wire is send:
            self._on_wire = None

    def _restart(self) -> None:
        self._due = 0.0
        self._backoff.restart()


def _pause(error: Exception) -> float | None:
    """Seconds to wait at least before the same is sent again; None: it is refused for good."""
    if isinstance(error, Disconnected):
        return 0.0
    if not isinstance(error, RequestError):
        return None
    if error.code == _TOO_MANY_REQUESTS:
        told = error.fields.get("retry_after")
        return float(told) if isinstance(told, int | float) and told > 0 else 0.0
    again = error.code == Unavailable.code and error.fields.get("retry") is True
    return 0.0 if again or _is_uncertain(error) else None


def _is_uncertain(error: Exception) -> bool:
    """Whether what was asked for may have been done."""
    if not isinstance(error, RequestError):
        return isinstance(error, Disconnected)
    return error.code == TimedOut.code or error.fields.get("outcome") == "unknown"
