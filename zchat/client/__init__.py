"""The asyncio client, for tests, bots, load, and Python programs that chat; and publishers, for
programs on the servers' own network."""

from zchat.client.answer import raise_for_code
from zchat.client.backoff import Backoff
from zchat.client.client import Client, connect
from zchat.client.link import Ending
from zchat.client.publisher import Publisher
from zchat.client.recovery import Hole
from zchat.client.room import Room
from zchat.client.state import State, StateChange
from zchat.client.sync_publisher import SyncPublisher
from zchat.client.transport import Disconnected
from zchat.rooms.stream import StreamPosition

__all__ = [
    "Backoff",
    "Client",
    "Disconnected",
    "Ending",
    "Hole",
    "Publisher",
    "Room",
    "State",
    "StateChange",
    "StreamPosition",
    "SyncPublisher",
    "connect",
    "raise_for_code",
]
