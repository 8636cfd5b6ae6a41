"""Runs one server of a project folder: what supervisord starts."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from pathlib import Path

from zchat.config import logs, settings
from zchat.config.servers import ServersFile, environment_name
from zchat.framework.app.project import application
from zchat.framework.server.running import Running
from zchat.ops.web import WebComponent

logger = logging.getLogger("zchat.admin")

_YOUNG = 10_000
"""Objects that are made before the youngest are looked through. When thousands of clients come in
at once, with Python's 700 each 11th of them costs a collection: 8 % of what coming in costs. With
this it is 4 %, in pauses of at most 5 ms.
"""


def make(folder: Path, server_id: str) -> Running:
    """The server of that id, not started.

    Raises:
        ConfigError: the project's configuration or application is wrong.
    """
    figures = settings.load(folder / "config" / "settings.toml")
    logs.setup(figures.logs.level, server_id, sys.stderr)
    servers = ServersFile(folder / "config" / "servers.json", environment_name())
    server = servers.topology.get(server_id)
    running = Running(
        application(folder, figures.application.module), servers, server_id, figures, folder
    )
    if server.frontend and not server.takes_clients:
        running.components.append(WebComponent(running, folder / "webroot"))
    return running


def run(folder: Path, server_id: str) -> None:
    """Run a server until SIGTERM or SIGINT; then see its clients off and return.

    A signal that comes while it starts stops it as soon as it has started.

    Raises:
        ConfigError: it cannot start.
    """
    asyncio.run(_run(folder, server_id))


async def _run(folder: Path, server_id: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = make(folder, server_id)
    await running.start()
    gc.collect()
    gc.freeze()  # what lives as long as the process need not be looked at again
    gc.set_threshold(_YOUNG)
    await stop.wait()
    logger.info("%s is asked to stop", server_id)
    await running.stop()
