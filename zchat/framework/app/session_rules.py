"""What an author says of sessions: how many a uid may have, and what happens with them."""

from __future__ import annotations

from typing import TypeVar

from zchat.framework.app.plan import Names, names
from zchat.framework.sessions.hooks import OnBound, OnClosed, SessionHooks
from zchat.framework.sessions.logins import POLICIES, Policy

Bound = TypeVar("Bound", bound=OnBound)
Closed = TypeVar("Closed", bound=OnClosed)


class SessionRules:
    """The part of an application that is about sessions."""

    def __init__(self) -> None:
        self.session_hooks = SessionHooks()
        self.session_policy: Policy = "allow"

    def single_session(self, policy: Policy) -> None:
        """Say what happens when one uid is bound to several sessions, on whichever servers.

        It needs servers that own channels. Said in `configure`, it holds for the sessions of those
        frontends, among each other.

        Args:
            policy: `allow` them, the default; `refuse` who comes later, with SignedInElsewhere; or
                `newest`: the former is kicked and told why.

        Raises:
            ValueError: it is none of these.
        """
        if policy not in POLICIES:
            raise ValueError(f"single_session({policy!r}): expected one of {', '.join(POLICIES)}")
        self.session_policy = policy

    def on_session_bound(self, hook: Bound, *, types: Names = ()) -> Bound:
        """Run `hook(session)` once when a session is bound.

        It runs on the frontend that has it or, with `types`, on servers of these types: on a
        backend for sessions whose requests it had. Frontends have to know of hooks with `types`:
        they are said for all servers alike, not in `configure`.
        """
        self.session_hooks.bound.append((names(types), hook))
        return hook

    def on_session_closed(self, hook: Closed, *, types: Names = ()) -> Closed:
        """Run `hook(session, reason)` once when a session's connection has closed, likewise.

        The reason is a word such as `client_closed`, `kicked` or `heartbeat_timeout`. A backend
        that has lost a frontend for longer than the grace counts its sessions as closed.
        """
        self.session_hooks.closed.append((names(types), hook))
        return hook
