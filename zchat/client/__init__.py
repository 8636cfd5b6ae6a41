"""The asyncio client: for tests, bots, load, and Python programs that chat."""

from zchat.client.backoff import Backoff
from zchat.client.client import Client, State, StateChange, connect, raise_for_code
from zchat.client.link import Ending
from zchat.client.transport import Disconnected

__all__ = [
    "Backoff",
    "Client",
    "Disconnected",
    "Ending",
    "State",
    "StateChange",
    "connect",
    "raise_for_code",
]
