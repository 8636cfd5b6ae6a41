"""What an owner tells all frontends of a channel, and by beats where its channels stand.

Members that come and go are told of at once while it is quiet. For a moment after each such frame
further changes of that channel wait, and are told in one frame: 500 people who come within a
second are some ten frames and not 500. Whatever else is said of a channel comes after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zchat.rooms.beat import TOPIC, BeatMaker, Stand
from zchat.rooms.changes import LIMIT, Change
from zchat.rooms.channel import Channel, Framer
from zchat.rooms.stream import Publication, Pushed, encode_frame


class Voice:
    """One owner's frames.

    Args:
        framer: builds them.
        publish: the XPUB: (topic, payload).
        beats: makes the beats.
        interval: seconds between two beats.
        clock: monotonic seconds.
        moment: seconds after a change was told in which others wait, until the next `tick` at
            least; 0: none waits. When full (1,000 changes of a channel wait), they are told.
    """

    def __init__(
        self,
        framer: Framer,
        publish: Callable[[str, bytes], None],
        beats: BeatMaker,
        interval: float,
        clock: Callable[[], float],
        moment: float = 0.0,
    ) -> None:
        self.framer = framer
        self._publish = publish
        self._beats = beats
        self._interval = interval
        self._clock = clock
        self._moment = moment
        self._due = clock() + interval
        self._waiting: dict[str, Channel] = {}  # those with changes that are not told yet

    def published(self, name: str, epoch: str, publications: Sequence[Publication]) -> None:
        """Publications of a channel, which are in the journal."""
        self._beats.changed(name)
        if self._waiting and (channel := self._waiting.get(name)) is not None:
            self.tell_now(channel)  # nobody says something before he has come
        self._publish(name, self.framer.published(epoch, publications))

    def push(self, channel: Channel, package: bytes, to: Sequence[str] | None) -> None:
        """A push beside the channel's order.

        Args:
            to: the uids it is for; None means all members.
        """
        self.tell_now(channel)
        audience = None if to is None else tuple(to)
        self._publish(channel.name, encode_frame(Pushed(package, audience)))

    def tell(self, channel: Channel, *changes: Change) -> None:
        """Members came or went: they are told at once, or in a moment with others."""
        if not changes:
            return
        self._beats.changed(channel.name)
        before = self._waiting.setdefault(channel.name, channel)
        if before is not channel:  # an earlier life of it
            self.tell_now(before)
            self._waiting[channel.name] = channel
        channel.untold += changes
        if self._clock() >= channel.quiet_from or len(channel.untold) >= LIMIT:
            self.tell_now(channel)

    def tell_after(self, channel: Channel, version: int) -> None:
        """The changes that were made to the list on the side since it was `version`."""
        self.tell(channel, *channel.presence.changes.after(version))

    def tell_now(self, channel: Channel) -> None:
        """What waits is told: what is to be said next speaks of the list as it is."""
        if not channel.untold:
            return
        del self._waiting[channel.name]
        changes, channel.untold = channel.untold, []
        if len(channel.presence.members) > 1:  # else nobody but the newcomer is there to hear it
            channel.quiet_from = self._clock() + self._moment
        self._publish(channel.name, self.framer.presence(channel.stream.position.epoch, changes))

    def tick(self, stand: Callable[[str], Stand | None]) -> None:
        """Tell what has waited for its moment; and a beat, when one is due.

        Args:
            stand: where a channel stands; None when it is not ours any more.
        """
        now = self._clock()
        beats = now >= self._due
        for channel in list(self._waiting.values()):
            if beats or now >= channel.quiet_from:
                self.tell_now(channel)
        if beats:
            self._due = max(self._due + self._interval, now)
            self._publish(TOPIC, encode_frame(self._beats.make(stand)))
