"""The sessions that a backend was told of: who is bound and who is gone, each known once.

A frontend tells of a session with each request, and by notices when it is bound or closes. Notices
are lost when a link breaks; then the backend asks after all sessions of that frontend with the next
link. When none comes within the grace, or another life of the frontend, they count as closed; they
are not met again should that life come back after all.

No I/O and no clock: callers pass `now`, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator

from zchat.frontend.session import Snapshot
from zchat.rooms.presence import SessionRef

_LIVES = 1000


class _Life:
    """One life of a frontend."""

    def __init__(self, frontend: str) -> None:
        self.frontend = frontend
        self.sessions: dict[int, Snapshot] = {}
        self.ended: set[int] = set()
        """Those that count as closed, although this life may have them still."""
        self.lost_at: float | None = None
        """Since when it has no link; None while it has one."""


class Acquaintances:
    """Sessions by the lives of their frontends; as many as the frontends let in.

    Lives without a link are kept, 1,000 of them. When full, the one whose link was lost first is
    forgotten.

    Args:
        grace: seconds that a frontend may be away before its sessions count as closed.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._lives: dict[str, _Life] = {}
        self._away: dict[str, None] = {}  # lives without a link, in the order of their loss

    def __len__(self) -> int:
        return sum(len(life.sessions) for life in self._lives.values())

    def meet(self, snapshot: Snapshot) -> bool:
        """A request or a notice tells of a session.

        Returns:
            Whether it is bound, and was not, or to another uid, when it was told of before.
        """
        life = self._lives.get(snapshot.incarnation)
        if life is None:
            life = self._lives[snapshot.incarnation] = _Life(snapshot.frontend)
        if snapshot.id in life.ended:
            return False
        known = life.sessions.get(snapshot.id)
        if known is not None and known.version >= snapshot.version:
            return False
        life.sessions[snapshot.id] = snapshot
        return bool(snapshot.uid) and (known is None or known.uid != snapshot.uid)

    def close(self, ref: SessionRef) -> Snapshot | None:
        """A session has closed: what was known of it; None when nothing was, or it is closed."""
        life = self._lives.get(ref.incarnation)
        return life.sessions.pop(ref.session, None) if life else None

    def up(self, frontend: str, incarnation: str) -> list[Snapshot]:
        """A frontend has a link: the sessions of its earlier lives, which are closed."""
        life = self._lives.get(incarnation)
        if life is not None:
            life.lost_at = None
            self._away.pop(incarnation, None)
        former = [
            name
            for name, life in self._lives.items()
            if life.frontend == frontend and name != incarnation
        ]
        return [snapshot for name in former for snapshot in self._forget(name)]

    def known(self, incarnation: str) -> list[int]:
        """The sessions of a life, to ask after."""
        life = self._lives.get(incarnation)
        return list(life.sessions) if life else []

    def is_away(self, incarnation: str) -> bool:
        """Whether that life has no link, or is forgotten."""
        return incarnation in self._away or incarnation not in self._lives

    def lost(self, incarnation: str, now: float) -> list[Snapshot]:
        """A frontend's link is lost; returns sessions of another one that is forgotten for it."""
        life = self._lives.get(incarnation)
        if life is None:
            return []
        life.lost_at = now
        self._away.pop(incarnation, None)
        self._away[incarnation] = None
        return self._forget(next(iter(self._away))) if len(self._away) > _LIVES else []

    def expire(self, now: float) -> Iterator[Snapshot]:
        """The sessions that count as closed by `now`; each is closed when it is yielded."""
        for incarnation in self._away:
            life = self._lives[incarnation]
            assert life.lost_at is not None
            if now - life.lost_at < self._grace:
                return
            while life.sessions:
                number, snapshot = life.sessions.popitem()
                life.ended.add(number)
                yield snapshot

    def _forget(self, incarnation: str) -> list[Snapshot]:
        self._away.pop(incarnation, None)
        return list(self._lives.pop(incarnation).sessions.values())
