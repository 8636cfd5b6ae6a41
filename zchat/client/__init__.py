"""The asyncio client: for tests, bots, load, and Python programs that chat."""

from zchat.client.answer import raise_for_code
from zchat.client.backoff import Backoff
from zchat.client.client import Client, connect
from zchat.client.link import Ending
from zchat.client.recovery import Hole
from zchat.client.room import Room
from zchat.client.state import State, StateChange
from zchat.client.transport import Disconnected

__all__ = [
    "Backoff",
    "Client",
    "Disconnected",
    "Ending",
    "Hole",
    "Room",
    "State",
    "StateChange",
    "connect",
    "raise_for_code",
]
