"""The kit for tests of applications, and what judges a cluster.

    async def test_hello(cluster: Cluster) -> None:
        ann = await cluster.connect("ann")
        await ann.expect_response("chat.chatHandler.send", {"content": "hello"})
        assert (await ann.expect_push("onNews"))["msg"] == "hello"

`cluster` is a fixture of the pytest plugin that comes with zchat, see `zchat.testing.plugin`. The
names are imported when first used: pytest loads the plugin wherever zchat is installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zchat.testing.cluster import Cluster as Cluster
    from zchat.testing.recording_client import RecordingClient as RecordingClient
    from zchat.testing.servers import Servers as Servers
    from zchat.testing.servers import lines_of as lines_of
    from zchat.testing.servers import quick as quick
    from zchat.testing.timing import MS as MS
    from zchat.testing.timing import eventually as eventually

_HOMES = {
    "MS": "zchat.testing.timing",
    "Cluster": "zchat.testing.cluster",
    "RecordingClient": "zchat.testing.recording_client",
    "Servers": "zchat.testing.servers",
    "eventually": "zchat.testing.timing",
    "lines_of": "zchat.testing.servers",
    "quick": "zchat.testing.servers",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
