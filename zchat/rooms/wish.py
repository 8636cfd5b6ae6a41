"""What clients say of the way in which they want to come in."""

from __future__ import annotations

from typing import Literal

import msgspec

from zchat.rooms.recovery import Position

PRESENCE = "onPresence"
"""Push to members whose clients asked for differences: the uids that `joined` and that `left`."""

Presence = Literal["", "diff"]
"""How a client is told who comes and goes: by the application's pushes, or as differences."""


class Wish(msgspec.Struct, kw_only=True):
    """What comes with a request to enter a room, for `Channel.add`; the base of its body's class.

    class Enter(Wish, kw_only=True):
        room: str
    """

    since: Position | None = None
    """The last that the client has of the room, when it was there before."""

    resume: str = ""
    """What takes its place back from a connection of its own that was lost."""

    presence: Presence = ""
    """How it is told who comes and goes."""
