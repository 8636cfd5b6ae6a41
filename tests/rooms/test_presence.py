"""Who is in, what the others are told of it, and who wins a name."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zchat.errors import RequestError
from zchat.rooms.changes import Change
from zchat.rooms.presence import (
    NOBODY,
    AlreadyMember,
    Evicted,
    NotMember,
    Presence,
    SessionRef,
)
from zchat.rooms.resume import NO_TOKEN, Token

GRACE = 5.0


def ref(session: int = 1, incarnation: str = "life1") -> SessionRef:
    return SessionRef("connector-1", incarnation, session)


def put_out(*refs: SessionRef, resumed: bool = False) -> Evicted:
    return Evicted(frozenset(refs), resumed)


@pytest.fixture
def presence() -> Presence:
    return Presence(GRACE)


def test_who_comes_is_told_once(presence: Presence) -> None:
    assert presence.join("alice", ref(1), since=0) == Change("alice", True, 1)
    assert presence.join("alice", ref(2), since=0) is None
    assert presence.join("alice", ref(2), since=0) is None
    assert presence.uids() == ["alice"]
    assert presence.sessions("alice") == {ref(1), ref(2)}


def test_who_goes_is_told_when_the_last_session_goes(presence: Presence) -> None:
    presence.join("alice", ref(1), since=0)
    presence.join("alice", ref(2), since=0)
    assert presence.leave("alice", ref(1)) is None
    assert presence.leave("alice", ref(1)) is None
    assert presence.leave("alice", ref(2)) == Change("alice", False, 2)
    assert presence.leave("alice", ref(2)) is None
    assert presence.uids() == []


def test_joining_order_is_kept(presence: Presence) -> None:
    for number, uid in enumerate(["carol", "alice", "bob"]):
        presence.join(uid, ref(number), since=number)
    presence.join("carol", ref(9), since=9)
    assert presence.uids() == ["carol", "alice", "bob"]


def test_versions_begin_where_they_are_told() -> None:
    assert Presence(GRACE, 700).join("alice", ref(), since=0) == Change("alice", True, 701)


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_a_name_held_by_another_session_is_refused(
    presence: Presence, first: bool, second: bool
) -> None:
    presence.join("alice", ref(1), since=0, exclusive=first)
    with pytest.raises(AlreadyMember, match="alice is already here") as refused:
        presence.join("alice", ref(2), since=0, exclusive=second)
    assert isinstance(refused.value, RequestError)
    assert refused.value.code == 409
    assert presence.sessions("alice") == {ref(1)}
    assert presence.join("alice", ref(1), since=0, exclusive=second) is None


def test_a_lost_member_stays_for_the_grace(presence: Presence) -> None:
    presence.join("alice", ref(1), since=0, exclusive=True)
    presence.lose("alice", ref(1), 100)
    assert presence.uids() == ["alice"]
    assert presence.sessions("alice") == frozenset()
    assert list(presence.expire(104.9)) == []
    assert list(presence.expire(105)) == [Change("alice", False, 2)]
    assert not presence.losing
    assert list(presence.expire(200)) == []


def test_who_comes_back_within_the_grace_makes_no_noise(presence: Presence) -> None:
    presence.join("alice", ref(1), since=7, exclusive=True)
    presence.lose("alice", ref(1), 100)
    assert presence.join("alice", ref(2), since=103, exclusive=True) is None
    assert presence.members["alice"].since == 7
    assert not presence.losing
    assert list(presence.expire(1000)) == []


def test_losing_what_is_not_here_is_no_loss(presence: Presence) -> None:
    presence.join("alice", ref(1), since=0)
    presence.lose("alice", ref(2), 0)
    presence.lose("bob", ref(1), 0)
    assert not presence.losing


def test_leaving_on_purpose_needs_no_grace_even_after_a_loss(presence: Presence) -> None:
    presence.join("alice", ref(1), since=0)
    presence.lose("alice", ref(1), 0)
    assert presence.leave("alice", ref(1)) is None  # that session is not here any more
    assert [change.uid for change in presence.expire(GRACE)] == ["alice"]


def test_a_frontends_death_loses_its_sessions_and_no_others(presence: Presence) -> None:
    presence.join("alice", ref(1, "dead"), since=0)
    presence.join("bob", ref(2, "dead"), since=0)
    presence.join("bob", ref(2, "alive"), since=0)
    presence.lose_incarnation("dead", 0)
    presence.lose_incarnation("unknown", 0)
    assert [change.uid for change in presence.expire(GRACE)] == ["alice"]
    assert presence.sessions("bob") == {ref(2, "alive")}


def test_who_a_frontend_does_not_name_is_lost(presence: Presence) -> None:
    for number, name in enumerate(("alice", "bob", "carol"), 1):
        presence.join(name, ref(number), since=number)
    presence.join("dan", ref(1, "life2"), since=1)
    presence.lose_unclaimed("life1", [("bob", ref(2))], before=3, now=0)
    presence.lose_unclaimed("life3", [], before=3, now=0)
    assert list(presence.expire(GRACE)) == [Change("alice", False, 5)]
    assert presence.uids() == ["bob", "carol", "dan"]
    presence.lose_unclaimed("life1", [("bob", ref(2)), ("carol", ref(3))], before=9, now=0)
    assert not presence.losing


@pytest.mark.parametrize("named", [("bob", ref(2)), ("bob", ref(1))])
def test_who_is_named_and_not_here_hides_nobody(
    presence: Presence, named: tuple[str, SessionRef]
) -> None:
    """Bob was put out and his frontend does not know; or alice's session is bob's by now."""
    presence.join("alice", ref(1), since=1)
    presence.lose_unclaimed("life1", [named], before=3, now=0)
    assert [change.uid for change in presence.expire(GRACE)] == ["alice"]


def test_claims_are_quiet_and_raise_the_version(presence: Presence) -> None:
    assert presence.claim("alice", ref(1), since=3, exclusive=True) == NOBODY
    assert presence.version == 1
    assert presence.claim("alice", ref(1), since=3, exclusive=True) == NOBODY
    assert presence.version == 1
    assert presence.members["alice"].since == 3


def test_a_claim_saves_a_lost_member(presence: Presence) -> None:
    presence.join("alice", ref(1), since=5, exclusive=True)
    presence.lose("alice", ref(1), 100)
    assert presence.claim("alice", ref(2), since=3, exclusive=True) == NOBODY
    assert list(presence.expire(1000)) == []
    assert presence.members["alice"].since == 3


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_of_two_claims_to_one_name_the_older_wins(
    presence: Presence, first: bool, second: bool
) -> None:
    presence.claim("alice", ref(1), since=5, exclusive=first)
    assert presence.claim("alice", ref(2), since=6, exclusive=second) == put_out(ref(2))
    assert presence.sessions("alice") == {ref(1)}
    assert presence.claim("alice", ref(3), since=4, exclusive=second) == put_out(ref(1))
    assert presence.sessions("alice") == {ref(3)}
    assert presence.members["alice"].since == 4


def test_claims_of_a_shared_name_are_all_good(presence: Presence) -> None:
    for session in (1, 2, 2):
        assert presence.claim("alice", ref(session), since=session) == NOBODY
    assert presence.sessions("alice") == {ref(1), ref(2)}


def test_a_claim_by_who_is_in_evicts_nobody(presence: Presence) -> None:
    presence.join("alice", ref(1), since=5)
    presence.join("alice", ref(2), since=5)
    assert presence.claim("alice", ref(1), since=4, exclusive=True) == NOBODY
    assert presence.sessions("alice") == {ref(1), ref(2)}


# Tokens


def test_a_session_keeps_the_token_that_it_came_with(presence: Presence) -> None:
    presence.join("alice", ref(1), since=0, exclusive=True, token=Token("one"))
    presence.join("alice", ref(1), since=0, exclusive=True, token=Token("two"))
    presence.claim("alice", ref(1), since=0, exclusive=True, token=Token("three"))
    assert presence.token("alice", ref(1)) == Token("one")
    assert presence.token("alice", ref(2)) == presence.token("bob", ref(1)) == NO_TOKEN


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_token_takes_the_place_of_its_former_session_without_a_word(
    presence: Presence, exclusive: bool
) -> None:
    presence.join("alice", ref(1), since=0, exclusive=exclusive, token=Token("mine"))
    assert presence.check("alice", ref(2, "b"), exclusive=exclusive, token=Token("mine")) == {
        ref(1)
    }
    assert presence.sessions("alice") == {ref(1)}, "asking changes nothing"
    assert (
        presence.join("alice", ref(2, "b"), since=9, exclusive=exclusive, token=Token("mine"))
        is None
    )
    assert presence.sessions("alice") == {ref(2, "b")}
    assert presence.version == 1
    presence.lose("alice", ref(1), 9)
    presence.lose_incarnation("life1", 9)
    assert not presence.losing, "the former connection's end is nobody's loss"
    presence.lose_incarnation("b", 9)
    assert presence.losing


@pytest.mark.parametrize("token", ["", "other", "min", "mine "])
def test_a_name_is_not_given_for_another_token(presence: Presence, token: str) -> None:
    presence.join("alice", ref(1), since=0, exclusive=True, token=Token("mine"))
    with pytest.raises(AlreadyMember):
        presence.join("alice", ref(2), since=0, exclusive=True, token=Token(token))
    assert presence.sessions("alice") == {ref(1)}


def test_sessions_without_a_token_are_nobodys_to_take(presence: Presence) -> None:
    presence.join("alice", ref(1), since=0, exclusive=True)
    with pytest.raises(AlreadyMember):
        presence.join("alice", ref(2), since=0, exclusive=True, token=NO_TOKEN)


def test_a_token_takes_the_place_of_no_other_session(presence: Presence) -> None:
    presence.join("alice", ref(1), since=0, token=Token("one"))
    presence.join("alice", ref(2), since=0, token=Token("two"))
    with pytest.raises(AlreadyMember):
        presence.join("alice", ref(3), since=0, exclusive=True, token=Token("one"))
    assert presence.sessions("alice") == {ref(1), ref(2)}
    presence.join("alice", ref(3), since=0, token=Token("one"))
    assert presence.sessions("alice") == {ref(2), ref(3)}


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("first", [1, 2])
def test_of_two_claims_with_one_token_the_later_wins(
    presence: Presence, first: int, exclusive: bool
) -> None:
    """Their client has come back before the former session's frontend heard of it."""
    evicted = [
        presence.claim("alice", ref(n), since=float(n), exclusive=exclusive, token=Token("mine"))
        for n in (first, 3 - first)
    ]
    assert evicted == [NOBODY, put_out(ref(1), resumed=True)]
    assert presence.sessions("alice") == {ref(2)}


def test_a_claim_of_the_former_session_comes_too_late(presence: Presence) -> None:
    presence.claim("alice", ref(1), since=1, exclusive=True, token=Token("mine"))
    presence.lose("alice", ref(1), 50)
    presence.join("alice", ref(2), since=2, exclusive=True, token=Token("mine"))
    again = presence.claim("alice", ref(1), since=1, exclusive=True, token=Token("mine"))
    assert again == put_out(ref(1), resumed=True)
    assert presence.sessions("alice") == {ref(2)}


@pytest.mark.parametrize("exclusive", [True, False])
def test_an_earlier_attempt_that_comes_late_changes_nothing(
    presence: Presence, exclusive: bool
) -> None:
    presence.join("alice", ref(2), since=0, exclusive=exclusive, token=Token("mine", 2))
    for attempt in (0, 1):
        late = Token("mine", attempt)
        with pytest.raises(AlreadyMember, match="later attempt"):
            presence.join("alice", ref(1), since=9, exclusive=exclusive, token=late)
    assert presence.sessions("alice") == {ref(2)}
    again = presence.check("alice", ref(3), exclusive=exclusive, token=Token("mine", 2))
    assert again == presence.check("alice", ref(3), exclusive=exclusive, token=Token("mine", 3))
    assert again == {ref(2)}


@pytest.mark.parametrize("first", [1, 2])
def test_of_two_claims_of_one_client_the_later_attempt_wins(presence: Presence, first: int) -> None:
    """Whatever their owners' clocks said."""
    evicted = [
        presence.claim("alice", ref(n), since=-n, exclusive=True, token=Token("mine", n))
        for n in (first, 3 - first)
    ]
    assert evicted == [NOBODY, put_out(ref(1), resumed=True)]
    assert presence.sessions("alice") == {ref(2)}


def test_who_is_expected_is_a_member(presence: Presence) -> None:
    presence.join("alice", ref(1), since=0)
    presence.lose("alice", ref(1), 0)
    presence.expect([])
    presence.expect(["alice"])
    with pytest.raises(NotMember, match="bob is not here") as error:
        presence.expect(["alice", "bob", "carol"])
    assert error.value.code == 404


UIDS = st.sampled_from(["alice", "bob", "carol"])
TOKENS = st.builds(Token, st.sampled_from(["", "one", "two"]), st.integers(0, 2))
REFS = st.builds(ref, st.integers(1, 3), st.sampled_from(["life1", "life2"]))


class PresenceMachine(RuleBasedStateMachine):
    """Against a model without shortcuts: (uid, session) pairs, and when each uid is due to go."""

    def __init__(self) -> None:
        super().__init__()
        self.presence = Presence(GRACE)
        self.now = 0.0
        self.pairs: set[tuple[str, SessionRef]] = set()
        self.stays: dict[tuple[str, SessionRef], tuple[Token, float]] = {}  # token, since
        self.order: list[str] = []
        self.exclusive: dict[str, bool] = {}
        self.since: dict[str, float] = {}
        self.due: dict[str, float] = {}
        self.told: list[Change] = []
        self.seen: set[str] = set()
        self.version = 0

    def sessions(self, uid: str) -> set[SessionRef]:
        return {session for name, session in self.pairs if name == uid}

    def former(self, uid: str, session: SessionRef, token: Token) -> set[SessionRef]:
        """Other sessions of the uid that are of that client."""
        others = self.sessions(uid) - {session}
        secret = token.secret
        return {o for o in others if secret and self.stays[uid, o][0].secret == secret}

    def enter(self, uid: str, session: SessionRef, token: Token, since: float) -> None:
        if (uid, session) not in self.pairs:
            self.stays[uid, session] = token, since
        self.pairs.add((uid, session))
        self.due.pop(uid, None)
        if uid not in self.order:
            self.order.append(uid)

    def go(self, uid: str) -> None:
        self.order.remove(uid)
        self.due.pop(uid, None)

    def tell(self, change: Change | None, expected: tuple[str, bool] | None) -> None:
        """Hold what is told against what should be, and against what was told before."""
        assert (None if change is None else change[:2]) == expected
        if change is None:
            return
        assert change.version > self.version, "each told change raises the version"
        assert change.version == self.presence.version
        assert change.joined != (change.uid in self.seen), "who is told to go was there"
        self.version = change.version

    @rule(uid=UIDS, session=REFS, exclusive=st.booleans(), token=TOKENS)
    def join(self, uid: str, session: SessionRef, exclusive: bool, token: Token) -> None:
        former = self.former(uid, session, token)
        others = self.sessions(uid) - {session} - former
        late = any(self.stays[uid, other][0].attempt > token.attempt for other in former)
        if late or (others and (exclusive or self.exclusive[uid])):
            with pytest.raises(AlreadyMember):
                self.presence.join(uid, session, since=self.now, exclusive=exclusive, token=token)
            return
        expected = None if uid in self.order else (uid, True)
        change = self.presence.join(uid, session, since=self.now, exclusive=exclusive, token=token)
        self.tell(change, expected)
        if expected:
            self.since[uid] = self.now
        self.enter(uid, session, token, self.now)
        self.pairs -= {(uid, other) for other in former}
        self.seen.add(uid)
        self.exclusive[uid] = exclusive

    @rule(uid=UIDS, session=REFS)
    def leave(self, uid: str, session: SessionRef) -> None:
        last = self.sessions(uid) == {session}
        self.tell(self.presence.leave(uid, session), (uid, False) if last else None)
        self.pairs.discard((uid, session))
        if last:
            self.go(uid)
            self.seen.discard(uid)

    def drop(self, lost: set[tuple[str, SessionRef]]) -> None:
        self.pairs -= lost
        for uid in {name for name, _ in lost}:
            if not self.sessions(uid):
                self.due[uid] = self.now + GRACE

    @rule(uid=UIDS, session=REFS)
    def lose(self, uid: str, session: SessionRef) -> None:
        self.presence.lose(uid, session, self.now)
        self.drop({(uid, session)} & self.pairs)

    @rule(incarnation=st.sampled_from(["life1", "life2", "life3"]))
    def lose_a_frontend(self, incarnation: str) -> None:
        self.presence.lose_incarnation(incarnation, self.now)
        self.drop({pair for pair in self.pairs if pair[1].incarnation == incarnation})

    @rule(uid=UIDS, session=REFS, since=st.integers(0, 50), exclusive=st.booleans(), token=TOKENS)
    def claim(
        self, uid: str, session: SessionRef, since: float, exclusive: bool, token: Token
    ) -> None:
        others = self.sessions(uid) - {session}
        former = self.former(uid, session, token)
        new = (uid, session) not in self.pairs
        contested = others and new and not former and (exclusive or self.exclusive[uid])
        resumed = bool(former and new)
        loses = contested and since >= self.since[uid]
        if resumed:
            mine, theirs = (token.attempt, since), [self.stays[uid, other] for other in former]
            loses = any(mine <= (token.attempt, since) for token, since in theirs)
        evicted = self.presence.claim(uid, session, since=since, exclusive=exclusive, token=token)
        winners = former if resumed else others if contested else set()
        assert evicted == put_out(*({session} if loses else winners), resumed=resumed)
        if loses:
            return
        if contested:
            self.pairs -= {(uid, other) for other in others}
        if contested or uid not in self.order:
            self.since[uid], self.exclusive[uid] = since, exclusive
        elif not others:
            self.since[uid], self.exclusive[uid] = min(since, self.since[uid]), exclusive
        self.enter(uid, session, token, since)
        if resumed:
            self.pairs -= {(uid, other) for other in former}
        self.seen.add(uid)

    @rule(seconds=st.floats(0, 2 * GRACE))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = [
            uid for uid in sorted(self.due, key=self.due.__getitem__) if self.due[uid] <= self.now
        ]
        changes = list(self.presence.expire(self.now))
        assert sorted(change.uid for change in changes) == sorted(due)
        assert [self.due[change.uid] for change in changes] == [self.due[uid] for uid in due]
        for change in changes:
            assert not change.joined
            assert change.version > self.version
            self.version = change.version
            self.go(change.uid)
            self.seen.discard(change.uid)

    @invariant()
    def the_same_members(self) -> None:
        assert self.presence.uids() == self.order
        assert self.presence.losing == bool(self.due)
        for uid in self.order:
            assert self.presence.sessions(uid) == self.sessions(uid)
            for session in self.sessions(uid):
                assert self.presence.token(uid, session) == self.stays[uid, session][0]
            member = self.presence.members[uid]
            assert (member.since, member.exclusive) == (self.since[uid], self.exclusive[uid])
            assert bool(member.sessions) == (uid not in self.due)


TestPresence = PresenceMachine.TestCase
TestPresence.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_a_member_is_taken_out_with_all_of_its_sessions(presence: Presence) -> None:
    presence.join("alice", SessionRef("c1", "life", 1), since=1.0)
    presence.join("alice", SessionRef("c2", "other", 2), since=1.0)
    presence.lose("alice", SessionRef("c1", "life", 1), 0.0)
    change = presence.remove("alice")
    assert change is not None
    assert (change.uid, change.joined, presence.uids()) == ("alice", False, [])
    assert not presence.losing
    presence.lose_incarnation("other", 0.0)
    assert presence.remove("alice") is None
