"""What a client is doing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from zchat.client.link import Ending


class State(Enum):
    """What a client is doing."""

    CONNECTING = "connecting"
    ONLINE = "online"
    RECONNECTING = "reconnecting"
    OFFLINE = "offline"


CONNECTING = State.CONNECTING
ONLINE = State.ONLINE
RECONNECTING = State.RECONNECTING
OFFLINE = State.OFFLINE


@dataclass(frozen=True, slots=True)
class StateChange:
    """A client begins to do something else."""

    state: State

    delay: float = 0.0
    """Seconds until the next attempt, when `state` is RECONNECTING."""

    ending: Ending | None = None
    """Why the connection ended or could not be made, when RECONNECTING or OFFLINE."""
