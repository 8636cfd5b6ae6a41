"""A client connection over WebSocket: frames around the packages, pings, the closing handshake."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Final

from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.connections import Connections
from zchat.frontend.sockets.disconnect import CLIENT_CLOSED, MALFORMED, MESSAGE_TOO_BIG, Disconnect
from zchat.frontend.sockets.frames import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    TOO_BIG,
    FrameError,
    FrameParser,
    close_frame,
    frame,
    read_close,
)

_PACKAGE_HEADER: Final = 4


class WebSocketConnection(Connection):
    """A `Connection` whose transport messages are WebSocket messages.

    The reference takes one package per message, binary or text alike, and ignores an empty text
    (pomelo wire 4.3, 4.4).
    """

    __slots__ = ("_parser",)

    def __init__(
        self,
        shared: Connections[Connection],
        sock: socket.socket,
        *,
        remote_address: str,
        host: str,
        deadline: float,
    ) -> None:
        self._parser = FrameParser(shared.handshake.limit + _PACKAGE_HEADER)
        super().__init__(shared, sock, remote_address=remote_address, host=host, deadline=deadline)

    def _read(self, data: bytes, now: float) -> None:
        frames = self._parser.receive(data)
        if frames and not self._allow(len(frames), now):
            return
        for opcode, payload in frames:
            if opcode < CLOSE:
                self._message(opcode, payload)
            elif opcode == PING:
                self.enqueue(frame(payload, PONG))
            elif opcode == CLOSE:
                self._closed(payload)
            if self.disconnect is not None:
                return
        if self._parser.failure is not None:
            self._failed(self._parser.failure)

    def _message(self, opcode: int, payload: bytes) -> None:
        if payload or opcode != TEXT:
            self._handle(payload)

    def _failed(self, error: FrameError) -> None:
        if error.code == TOO_BIG:
            self.close(MESSAGE_TOO_BIG.because(str(error)))
        else:
            self.close(replace(MALFORMED, code=error.code, reason=str(error)))

    def _closed(self, payload: bytes) -> None:
        """The client began the closing handshake: its code is sent back to it."""
        code, reason = read_close(payload)
        entry = CLIENT_CLOSED.because(f"{code} {reason}") if reason else CLIENT_CLOSED
        self._finish(entry, close_frame(code))

    def _farewell(self, disconnect: Disconnect) -> bytes:
        return close_frame(disconnect.code, disconnect.reason)
