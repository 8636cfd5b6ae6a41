"""What frontends say to the owner of channels: which members they have, and what they lack."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zchat.errors import Unavailable
from zchat.framework.channels.admission import Admission
from zchat.framework.channels.link_tokens import LinkTokens
from zchat.framework.channels.owned_channels import OwnedChannels
from zchat.framework.channels.readable import Readable
from zchat.framework.channels.voice import Voice
from zchat.frontend.answers import Announced, Claim, Compared, Repaired
from zchat.rooms.channel import Channel
from zchat.rooms.presence import SessionRef
from zchat.rooms.resume import Token
from zchat.rooms.stream import MAX_BODY_BYTES, first_page

_REPAIR_PAGE = 500
_REPAIR_BYTES = MAX_BODY_BYTES

_SETTLED = 10.0
"""Seconds after which an announce that was made before a member came in is not under way any more:
calls end within their deadline, and a link that holds them up is given up sooner."""


class Frontends:
    """Announces, repairs of gaps, and the ends of frontends.

    Of each frontend the announce that came last is remembered until that life of it has ended: an
    earlier one that is still under way was given up, and what it claims may not be true any more.

    Args:
        server_id: this server.
        owned: its channels.
        admission: puts out who has lost a name.
        voice: tells changes of members.
        journal: where repairs come from.
        clock: monotonic seconds.
        wall_clock: seconds since 1970.

    Attributes:
        links: the tokens that prove that publications reach a frontend.
    """

    def __init__(
        self,
        server_id: str,
        owned: OwnedChannels,
        admission: Admission,
        voice: Voice,
        journal: Readable,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._server_id = server_id
        self._owned = owned
        self._admission = admission
        self._voice = voice
        self._journal = journal
        self._clock = clock
        self._wall_clock = wall_clock
        self._latest: dict[str, tuple[str, bytes]] = {}  # frontend -> incarnation, token
        self.links = LinkTokens(server_id)

    async def announce(
        self,
        frontend: str,
        incarnation: str,
        ring: str,
        claims: dict[str, list[Claim]],
        last: bool,
        token: bytes,
    ) -> list[Announced]:
        """A frontend tells of its members in our channels, and learns where those stand.

        Raises:
            Unavailable: not all of these channels are ours by the ring that we know, and the
                frontend knows another one: it tries again, and one of us will learn. Or its token
                did not come: it has no link to our publications yet. Or this life of it has ended
                meanwhile, or given this announce up and made another one.
        """
        self._latest[frontend] = this = (incarnation, token)
        channels = []
        for name, members in claims.items():
            if self._owned.is_ours(name):
                channel = await self._owned.open(name, settled=False)
                if self._latest.get(frontend) != this:
                    # Whom it says to have lost since then would be here for ever.
                    raise Unavailable(f"{frontend} is not connected, or has announced anew")
                self._claim(channel, frontend, incarnation, members)
                channels.append(channel)
        if len(channels) < len(claims) and ring != self._owned.ring_tag:
            # To leave them out would be taken for an answer, and nobody would tell of them again.
            raise Unavailable(f"{self._server_id} knows another ring")
        if last:
            self._owned.taking.announced(frontend, ring)
            self._owned.settle()
        await self.links.wait(token)
        for channel in channels:
            self._voice.tell_now(channel)  # or what waits would seem to be lost
        return [
            Announced(channel.name, *channel.stream.position, channel.presence.version)
            for channel in channels
        ]

    async def repair(self, name: str, after: int) -> Repaired:
        """What follows offset `after`, for a frontend that has a gap: one page of it.

        What is journalled and not published yet is left out: a frontend that had it would be past
        the place at which members come in.
        """
        channel = await self._owned.open(name)
        history = await self._journal.read(name, after, _REPAIR_PAGE)
        epoch, offset = channel.stream.position
        offset = min(offset, history.tail.offset)  # more may have been stored since it was read
        publications = [p for p in history.publications if p.offset <= offset]
        if not publications:
            return Repaired(epoch, offset, offset + 1, [])
        page = first_page(publications, _REPAIR_BYTES)
        frame = self._voice.framer.run(epoch, page)
        return Repaired(epoch, offset, frame.first, list(frame.items))

    async def compare(
        self, name: str, version: int, uids: list[str] | None, doubtful: list[str]
    ) -> Compared:
        """What brings a frontend's roster to the member list, once all members are known.

        Args:
            version: of the list that the roster is; 0 when that is in doubt.
            uids: the roster; None when the version should be enough.
            doubtful: see `Changes.bring`.
        """
        channel = await self._owned.open(name)
        presence, epoch = channel.presence, channel.stream.position.epoch
        before = presence.version
        if uids is None and not presence.changes.reach(version):
            return Compared(epoch, before, [], unknown=True)
        changes = channel.compare(version, uids or (), doubtful, self._clock())
        self._tell_after(channel, before)
        self._voice.tell_now(channel)
        found = [self._voice.framer.change(epoch, change) for change in changes]
        return Compared(epoch, presence.version, found)

    def lost(self, frontend: str, incarnation: str) -> None:
        """A life of a frontend has ended: its members are lost, its joins come to nothing."""
        self._owned.taking.gone(frontend)
        if self._latest.get(frontend, ("", b""))[0] == incarnation:
            del self._latest[frontend]
        self._admission.frontend_lost(frontend, incarnation)
        self._owned.lose_incarnation(incarnation)

    def _claim(
        self, channel: Channel, frontend: str, incarnation: str, claims: Sequence[Claim]
    ) -> None:
        """Take these members in; of two claims to one name the older wins.

        Whose claim is missing has gone, and the word of it was lost. But who came in a moment ago
        may have done so when these claims were under way.
        """
        before = channel.presence.version
        named = []
        for claim in claims:
            ref = SessionRef(frontend, incarnation, claim.session)
            named.append((claim.uid, ref))
            if self._admission.has_left(channel.name, ref):
                continue
            token = Token.read(claim.resume)
            evicted = channel.presence.claim(
                claim.uid, ref, since=claim.since, exclusive=claim.exclusive, token=token
            )
            self._admission.evict(channel, evicted)
        settled = self._wall_clock() - _SETTLED
        channel.presence.lose_unclaimed(incarnation, named, settled, self._clock())
        self._owned.watch(channel)
        if self._owned.is_settled(channel.name):
            self._tell_after(channel, before)
        else:
            channel.presence.changes.begin(channel.presence.version)

    def _tell_after(self, channel: Channel, version: int) -> None:
        """Tell the changes that were made to the list on the side since it was `version`."""
        self._voice.tell_after(channel, version)
        self._owned.watch(channel)
