"""Runs one server of a project folder: what supervisord starts."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import signal
import sys
from pathlib import Path

from zchat.config import logs, settings
from zchat.config.servers import ServersFile, environment_name
from zchat.errors import ConfigError
from zchat.framework.application import Application
from zchat.framework.running import Running
from zchat.ops.web import WebComponent

logger = logging.getLogger("zchat.admin")


def application(folder: Path, module: str) -> Application:
    """The project's application: `app` in the module that settings.toml names.

    What the module itself raises while it is imported is let through: its author needs the
    traceback.

    Raises:
        ConfigError: there is no such module, or no application in it.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(f"application.module {module!r}: expected the name of a module")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found = getattr(importlib.import_module(module), "app", None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and imports another one that is not
        raise ConfigError(f"no module {module} in {folder}: it should make the `app`") from None
    if not isinstance(found, Application):
        raise ConfigError(f"{module}: expected `app = Application(__file__)`")
    return found


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
    await stop.wait()
    logger.info("%s is asked to stop", server_id)
    await running.stop()
