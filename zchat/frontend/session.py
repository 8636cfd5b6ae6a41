"""Sessions: what a frontend knows of one client connection beyond its socket.

The frontend owns the session. Backends see a `Snapshot` that travels with each request, encoded
once per change of the session and not once per request. A session and its memberships know each
other, so both stand here; what of a membership needs no session is its `Standing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from zchat.errors import BadRequest, RequestError
from zchat.frontend.session_settings import SessionSettings
from zchat.frontend.standing import Standing
from zchat.rooms.presence import SessionRef

if TYPE_CHECKING:
    from zchat.frontend.lane import Lane
    from zchat.frontend.sockets.connection import Connection
    from zchat.frontend.sockets.disconnect import Disconnect


class Snapshot(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A session as other servers see it."""

    frontend: str
    incarnation: str
    id: int
    uid: str
    """Empty until bound."""
    settings: dict[str, Any]
    address: str
    """The client's address."""
    host: str
    """The host name by which the client reached the frontend."""
    version: int = 0
    """Rises with each change of uid or settings."""


encode_snapshot = msgspec.msgpack.Encoder().encode
decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode


class AlreadyBound(RequestError):
    """The session is bound to another uid."""


class Base(NamedTuple):
    """The roster at the time of an order to join: the answer to the order goes on from there."""

    token: bytes
    """Of the order."""
    version: int
    uids: frozenset[str]


class Membership(Standing):
    """A session's place in a channel, as the hub keeps it: who ordered it in, by which request.

    It is *joining* from the owner's order until the client has the answer to the request that
    joined it; what is published meanwhile is held, so that the answer comes first.
    """

    __slots__ = (
        "again",
        "base",
        "channel",
        "differences",
        "exclusive",
        "order",
        "origin",
        "owner",
        "resume",
        "returned",
        "session",
        "since",
        "token",
    )

    def __init__(self, session: Session, channel: str, uid: str, owner: str, origin: int) -> None:
        super().__init__(uid)
        self.session = session
        self.channel = channel
        self.owner = owner
        """The server that ordered the join."""
        self.origin = origin
        """Message id of the request that joined; 0 when no request did, or it was answered."""
        self.token = b""
        """What the owner waits for on its XPUB; empty once it admitted the member."""
        self.order = b""
        """The token of the last order to join: who undoes another one does not mean this."""
        self.returned = False
        """Whether it was a member before the request of `origin` let it in once more."""
        self.again = False
        """Whether the same request has it joined once more: the answer to come is of that join."""
        self.base: Base | None = None
        """What its owner was told that we know of the member list; None once it was used."""
        self.differences = False
        """Whether its client wants to be told who comes and goes as differences, see `Telling`."""
        self.since = 0.0
        self.exclusive = False
        self.resume = ""
        """The session's token there, which its owner gave it and its next owner has to know."""

    @property
    def shown(self) -> bytes:
        """What is sent for its token: with the version of the list that its owner may go on from.

        The owner reads it again in `Admission.on_token`.
        """
        base = self.base
        known = base is not None and base.token == self.token
        return b"%b %d" % (self.token, base.version) if base and known else self.token

    @property
    def answered(self) -> bool:
        """Whether the request that joined has been answered."""
        in_flight = self.session.in_flight
        return not self.origin or in_flight is None or self.origin not in in_flight


class Session:
    """One client connection's state. Made when the connection opens, gone when it closes."""

    __slots__ = (
        "_settings",
        "_snapshot",
        "connection",
        "id",
        "in_flight",
        "lanes",
        "memberships",
        "parting",
        "requests",
        "table",
        "told",
        "uid",
        "version",
    )

    def __init__(self, id: int, connection: Connection, table: SessionTable) -> None:  # noqa: A002
        self.id = id
        self.connection = connection
        self.table = table
        self.uid = ""
        self.in_flight: set[int] | None = None
        """Message ids of requests that have no answer yet; None while there are none."""
        self.requests = 0
        """How many requests and notifies are under way or held."""
        self.lanes: dict[str, Lane[Any]] | None = None
        """The forwarder's records of this session, by server type; None while there are none."""
        self.memberships: dict[str, Membership] | None = None
        """The hub's records of this session, by channel; None while there are none."""
        self.told: set[str] | None = None
        """The servers that hear when it is bound and when it closes; None while there are none."""
        self.parting: tuple[int, Disconnect] | None = None
        """It is closed so when this request has been answered; mostly None."""
        self.version = 0
        """Rises with each change of uid or settings."""
        self._settings: SessionSettings | None = None
        self._snapshot: bytes | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings; change them with `push` only."""
        return self._settings.values if self._settings else {}

    def get(self, key: str) -> Any:
        """One setting; None when it is not set."""
        return self._settings.values.get(key) if self._settings else None

    def snapshot(self) -> Snapshot:
        """This session as of now."""
        table = self.table
        return Snapshot(
            table.frontend,
            table.incarnation,
            self.id,
            self.uid,
            dict(self.settings),
            self.connection.remote_address,
            self.connection.host,
            self.version,
        )

    def encoded(self) -> bytes:
        """The snapshot as it travels; encoded again only after a change."""
        if self._snapshot is None:
            self._snapshot = encode_snapshot(self.snapshot())
        return self._snapshot

    def push(self, settings: dict[str, Any]) -> None:
        """Merge into the settings; a value of None takes the key out."""
        if self._settings is None:
            self._settings = SessionSettings()
        self._changed()
        self._settings.merge(settings, self.version)

    def push_copy(self, settings: dict[str, tuple[int, Any]]) -> bool:
        """Merge what was set in a copy, unless it is stale.

        Args:
            settings: by key the version of the copy and the value.

        Returns:
            False when any of the keys has changed since; then nothing is merged.
        """
        seen = ((key, version) for key, (version, _) in settings.items())
        if self._settings is not None and self._settings.is_stale(seen):
            return False
        self.push({key: value for key, (_, value) in settings.items()})
        return True

    def bind(self, uid: str) -> None:
        """Say who this is. Binding the same uid again changes nothing.

        Raises:
            AlreadyBound: the session is bound to another uid (pomelo wire 14.2).
            BadRequest: the uid is empty, which means nobody.
        """
        self.check_uid(uid)
        if not self.uid:
            self.uid = uid
            self._changed()
            self.table.bound(self)

    def check_uid(self, uid: str) -> None:
        """Whether `bind` would go well.

        Raises:
            AlreadyBound, BadRequest: see `bind`.
        """
        if not uid:
            raise BadRequest("a uid is not empty", path="uid")
        if self.uid and self.uid != uid:
            raise AlreadyBound(f"session is already bound to {self.uid}")

    def unbind(self, uid: str) -> None:
        """Forget who this is.

        Raises:
            RequestError: the session is not bound to `uid` (pomelo wire 14.3).
        """
        if self.uid != uid or not uid:
            raise RequestError(f"session is not bound to {uid}")
        self.table.unbound(self)
        self.uid = ""
        self._changed()

    @property
    def ref(self) -> SessionRef:
        """Names the session in the whole cluster."""
        return SessionRef(self.table.frontend, self.table.incarnation, self.id)

    def _changed(self) -> None:
        self.version += 1
        self._snapshot = None


class SessionTable:
    """All sessions of this frontend, by id and by uid.

    Args:
        frontend: this server's id.
        incarnation: this process's life.
    """

    def __init__(self, frontend: str, incarnation: str) -> None:
        self.frontend = frontend
        self.incarnation = incarnation
        self._by_id: dict[int, Session] = {}
        # Most uids have one session, which needs no set: 216 bytes less for each connection.
        self._by_uid: dict[str, Session | set[Session]] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._by_id.values())

    def open(self, connection: Connection) -> Session:
        """A session for a new connection, with an id never used in this process's life."""
        self._last_id += 1
        session = Session(self._last_id, connection, self)
        self._by_id[session.id] = session
        return session

    def close(self, session: Session) -> None:
        """Forget a session. Idempotent."""
        if self._by_id.pop(session.id, None) is not None and session.uid:
            self.unbound(session)

    def get(self, id: int) -> Session | None:  # noqa: A002
        """The session with this id, None when it is gone."""
        return self._by_id.get(id)

    def of_uid(self, uid: str) -> list[Session]:
        """The sessions bound to this uid here."""
        found = self._by_uid.get(uid)
        if isinstance(found, Session):
            return [found]
        return list(found or ())

    def bound(self, session: Session) -> None:
        """Called by Session.bind."""
        found = self._by_uid.setdefault(session.uid, session)
        if isinstance(found, set):
            found.add(session)
        elif found is not session:
            self._by_uid[session.uid] = {found, session}

    def unbound(self, session: Session) -> None:
        """Called by Session.unbind and close."""
        found = self._by_uid.get(session.uid)
        if isinstance(found, set):
            found.discard(session)
        if not found or found is session:
            self._by_uid.pop(session.uid, None)
