"""The web server: the page, and where the page finds its cluster.

    GET /entry.json   {"gate": {"host"?, "port"}} or, in a cluster without gates, {"connector": …}
    GET /healthz      {"status": "ok", "id": …}
    GET /zchat/…      zchat's client for pages: import { Client } from './zchat/index.js'
    GET /…            files of webroot/

No file of webroot/ may run anything that this server does not bring: see `HEADERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

from zchat.config.topology import Server, Topology
from zchat.framework.server.running import Running
from zchat.frontend.sockets.acceptor import HEALTHY
from zchat.frontend.sockets.listen import listen
from zchat.protocol.body import dumps

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Server": "zchat",
}


CLIENT = Path(__file__).parent / "scaffold" / "webroot" / "js" / "zchat"
"""The client for pages. A page that needs another one has it in a folder of another name."""

_IDLE = 30.0
_HEADER_BYTES = 8192


class WebComponent:
    """Serves the page on a web server's port.

    A browser that says nothing for 30 seconds is let go.

    Args:
        running: the server.
        root: the folder of the page.
    """

    def __init__(self, running: Running, root: Path) -> None:
        self._running = running
        self._requests = 0
        application = Application(
            [
                ("/entry.json", _Json, {"answer": self._entry}),
                ("/healthz", _Health, {"answer": running.health}),
                ("/zchat/(.*)", _Page, {"path": str(CLIENT)}),
                ("/(.*)", _Page, {"path": str(root), "default_filename": "index.html"}),
            ],
            log_function=self._count,
            compress_response=True,
        )
        self._http = HTTPServer(
            application,
            idle_connection_timeout=_IDLE,
            body_timeout=_IDLE,
            max_header_size=_HEADER_BYTES,
            max_body_size=0,  # nothing is uploaded here
        )

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the port is taken.
        """
        server = self._running.server
        assert server.client_port is not None, "a web server has a port"
        address = self._running.settings.client.listen
        self._http.add_sockets(listen(server.id, address, server.client_port))

    async def stop(self) -> None:
        """Close. Idempotent."""
        self._http.stop()
        await self._http.close_all_connections()

    def status(self) -> dict[str, Any]:
        """What `zchat status` shows."""
        return {"http_requests": self._requests}

    def _entry(self) -> dict[str, Any]:
        return entry(self._running.servers.topology)

    def _count(self, handler: RequestHandler) -> None:
        self._requests += 1


def entry(topology: Topology) -> dict[str, Any]:
    """Where clients begin: the gate, or a connector where there is no gate."""
    for server_type in ("gate", "connector"):
        for server in topology.of_type(server_type):
            return {server_type: _place(server)}
    return {}


def _place(server: Server) -> dict[str, Any]:
    port: dict[str, Any] = {"port": server.client_port}
    return {"host": server.client_host, **port} if server.client_host else port


class _Json(RequestHandler):
    def initialize(self, answer: Callable[[], dict[str, Any]]) -> None:
        self._answer = answer

    def set_default_headers(self) -> None:
        _protect(self)

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(dumps(self._answer()))

    head = get


class _Health(_Json):
    def get(self) -> None:
        if self._answer()["status"] not in HEALTHY:
            self.set_status(503)
        super().get()

    head = get


class _Page(StaticFileHandler):
    def set_default_headers(self) -> None:
        _protect(self)

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        """A name that no file can have is a 404 and no fault of ours for the log."""
        if "\0" in absolute_path:
            raise HTTPError(404)
        return super().validate_absolute_path(root, absolute_path)

    def compute_etag(self) -> str:
        """Of the file as it is now: Tornado's own remembers each file's first hash for good."""
        assert self.absolute_path is not None
        stat = Path(self.absolute_path).stat()
        return f'W/"{stat.st_mtime_ns:x}-{stat.st_size:x}"'

    def get_cache_time(self, path: str, modified: object, mime_type: str) -> int:
        return 0  # revalidated by its ETag each time: a new page is seen at once


def _protect(handler: RequestHandler) -> None:
    for name, value in HEADERS.items():
        handler.set_header(name, value)
