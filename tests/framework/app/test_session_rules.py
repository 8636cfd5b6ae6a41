"""What an author says of sessions."""

from __future__ import annotations

from typing import Any

import pytest

from zchat import BackendSession
from zchat.framework.app.session_rules import SessionRules


def test_everything_is_allowed_by_default() -> None:
    assert SessionRules().session_policy == "allow"


def test_a_policy_is_chosen() -> None:
    rules = SessionRules()
    rules.single_session("newest")
    assert rules.session_policy == "newest"


def test_a_policy_that_is_none() -> None:
    wrong: Any = "oldest"
    with pytest.raises(ValueError, match=r"'oldest'.*allow, refuse, newest"):
        SessionRules().single_session(wrong)


def test_hooks_stand_above_their_functions() -> None:
    rules = SessionRules()

    @rules.on_session_bound
    def bound(session: BackendSession) -> None: ...

    @rules.on_session_closed
    async def closed(session: BackendSession, reason: str) -> None: ...

    assert rules.on_session_closed(closed, types="area|chat") is closed
    assert rules.session_hooks.bound == [(frozenset(), bound)]
    assert rules.session_hooks.closed == [
        (frozenset(), closed),
        (frozenset({"area", "chat"}), closed),
    ]
