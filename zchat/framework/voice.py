"""What an owner tells all frontends of a channel, and by beats where its channels stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zchat.rooms.beat import TOPIC, BeatMaker, Stand
from zchat.rooms.changes import Change
from zchat.rooms.channel import Channel, Framer
from zchat.rooms.stream import Publication, encode_frame


class Voice:
    """One owner's frames.

    Args:
        framer: builds them.
        publish: the XPUB: (topic, payload).
        beats: makes the beats.
        interval: seconds between two beats.
        now: monotonic seconds.
    """

    def __init__(
        self,
        framer: Framer,
        publish: Callable[[str, bytes], None],
        beats: BeatMaker,
        interval: float,
        now: float,
    ) -> None:
        self.framer = framer
        self._publish = publish
        self._beats = beats
        self._interval = interval
        self._due = now + interval

    def published(self, name: str, epoch: str, publications: Sequence[Publication]) -> None:
        """Publications of a channel, which are in the journal."""
        self._beats.changed(name)
        self._publish(name, self.framer.published(epoch, publications))

    def tell(self, channel: Channel, change: Change) -> None:
        """A member came or went."""
        self._beats.changed(channel.name)
        frame = self.framer.presence(channel.stream.position.epoch, change)
        self._publish(channel.name, frame)

    def tell_after(self, channel: Channel, version: int) -> None:
        """The changes that were made to the list on the side since it was `version`."""
        for change in channel.presence.changes.after(version):
            self.tell(channel, change)

    def beat(self, now: float, stand: Callable[[str], Stand | None]) -> None:
        """A beat, when one is due.

        Args:
            now: monotonic seconds.
            stand: where a channel stands; None when it is not ours any more.
        """
        if now >= self._due:
            self._due = now + self._interval
            self._publish(TOPIC, encode_frame(self._beats.make(stand)))
