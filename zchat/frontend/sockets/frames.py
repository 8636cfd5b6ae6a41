"""WebSocket frames (RFC 6455) as a server reads and writes them: bytes in, frames out, no I/O.

    byte 0     FIN 80 | RSV1 40 | RSV2 20 | RSV3 10 | opcode 0F
    byte 1     MASK 80 | length 7F: 0-125; 126: the next 2 bytes hold it; 127: the next 8 bytes
    4 bytes    masking key; in every frame from a client, in none from a server
    payload    byte i of a client's frame is XORed with byte i % 4 of the key

    opcode  0 continuation  1 text  2 binary  8 close  9 ping  A pong

No extension is ever negotiated, so any RSV bit is an error. Control frames (8-A) hold at most 125
bytes and are not fragmented, but may stand between the fragments of a message. A close frame is
empty, or a code (2 bytes) and a reason (UTF-8, at most 123 bytes).

The usual frame is small, binary, whole, and alone in what one `recv` returned; it takes a path of
its own at the top of `FrameParser.receive`. Everything else goes through `_parse`, which never
holds more than what has arrived of one message, and joins nothing twice.
"""

from __future__ import annotations

import codecs
import struct
from typing import Final

from zchat.errors import ProtocolError

try:
    from tornado.speedups import websocket_mask as _c_mask
except ImportError:  # Tornado was built without its C extension
    _c_mask = None  # type: ignore[assignment]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

BROKEN_FRAME: Final = 1002
NO_CODE: Final = 1005  # never on the wire: a close frame without a body
BAD_TEXT: Final = 1007
TOO_BIG: Final = 1009

_FIN: Final = 0x80
_MASKED: Final = 0x80
_RESERVED: Final = 0x70
_OPCODES: Final = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_LONGEST_CONTROL: Final = 125
_LONGEST_REASON: Final = 123
# 1004-1006 and 1015 are reserved and must not be sent; 1012-1014 are registered since RFC 6455.
_CODES: Final = frozenset((*range(1000, 1004), *range(1007, 1015)))
_OWN_CODES: Final = range(3000, 5000)  # for libraries (3000s) and applications (4000s)

_SHORT_BINARY: Final = tuple(bytes((_FIN | BINARY, length)) for length in range(126))


class FrameError(ProtocolError):
    """A peer's bytes are not WebSocket.

    Attributes:
        code: the close code that tells the peer which rule it broke.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def frame(payload: bytes, opcode: int = BINARY) -> bytes:
    """The bytes of one whole, unmasked frame.

    Raises:
        ValueError: a control frame's payload is longer than 125 bytes.
    """
    length = len(payload)
    if length < 126:
        if opcode == BINARY:
            return _SHORT_BINARY[length] + payload
        return bytes((_FIN | opcode, length)) + payload
    if opcode >= CLOSE:
        raise ValueError(f"a control frame holds at most 125 bytes, not {length}")
    if length < 65536:
        return struct.pack(">BBH", _FIN | opcode, 126, length) + payload
    return struct.pack(">BBQ", _FIN | opcode, 127, length) + payload


def payloads(frames: bytes) -> bytes:
    """What a run of whole, unmasked frames holds, without the headers."""
    size = len(frames)
    if size == frames[1] + 2:  # the usual frame, alone
        return frames[2:]
    found = []
    position = 0
    while position < size:
        length, position = frames[position + 1], position + 2
        if length >= 126:
            width = 2 if length == 126 else 8
            length = int.from_bytes(frames[position : position + width], "big")
            position += width
        found.append(frames[position : position + length])
        position += length
    return b"".join(found)


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what fits, between two characters.

    Args:
        code: `NO_CODE` for a close frame without a body.
        reason: for people; dropped if there is no code.
    """
    if code == NO_CODE:
        return frame(b"", CLOSE)
    text = reason.encode("utf-8", "replace")[:_LONGEST_REASON]
    return frame(struct.pack(">H", code) + text.decode("utf-8", "ignore").encode(), CLOSE)


def read_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame's payload; `NO_CODE` if it is empty.

    Raises:
        FrameError: one byte only, a code that must not be sent, or a reason that is not UTF-8.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise FrameError(BROKEN_FRAME, "close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if code not in _CODES and code not in _OWN_CODES:
        raise FrameError(BROKEN_FRAME, f"close code {code} must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(BAD_TEXT, "close reason is not UTF-8") from None


def python_mask(key: bytes, data: bytes) -> bytes:
    """XORs `data` with `key` (4 bytes), repeated; as fast as Python alone can, O(n)."""
    length = len(data)
    pattern = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(
        length, "little"
    )


mask = python_mask if _c_mask is None else _c_mask


class _Message:
    """What has arrived of a message that is not complete."""

    __slots__ = ("_tail", "data", "final", "key", "missing", "opcode")

    def __init__(self, opcode: int) -> None:
        self.opcode = opcode
        self.data = bytearray()
        self.missing = 0
        """Payload bytes still to come of the frame that is being read; 0 between frames."""
        self.key = b""
        """That frame's masking key, turned to the place of its next byte."""
        self.final = False
        """Whether that frame is the last of the message."""
        self._tail = b""

    def begin(self, key: bytes, length: int, final: bool) -> None:
        """The header of the next frame has been read."""
        self.key = key
        self.missing = length
        self.final = final

    def add(self, masked: bytes) -> None:
        """Takes the next bytes of the frame.

        Raises:
            FrameError: a text message can no more become UTF-8.
        """
        data = mask(self.key, masked)
        self.missing -= len(data)
        turn = len(data) % 4
        if turn:
            self.key = self.key[turn:] + self.key[:turn]
        if self.opcode == TEXT:
            self._check(data)
        self.data += data

    def finish(self) -> bytes:
        """The whole message.

        Raises:
            FrameError: a text message ends within a character.
        """
        if self._tail:
            raise FrameError(BAD_TEXT, "text ends within a character")
        return bytes(self.data)

    def _check(self, data: bytes) -> None:
        data = self._tail + data
        try:
            _, consumed = codecs.utf_8_decode(data, "strict", False)
        except UnicodeDecodeError:
            raise FrameError(BAD_TEXT, "text is not UTF-8") from None
        self._tail = data[consumed:]


class FrameParser:
    """Cuts what one client sends into messages and control frames.

    After an error or a close frame everything further is ignored: framing is lost, or nothing may
    follow.

    Args:
        limit: largest message in bytes, all its fragments together.

    Attributes:
        failure: why no more frames will come, or None. What `receive` returned together with it
            came before the error and is good.

    When a message is longer than `limit`, `failure` is set as soon as a header says so: what is
    held never exceeds `limit` and one control frame.
    """

    __slots__ = ("_buffer", "_limit", "_message", "failure")

    def __init__(self, limit: int) -> None:
        self._limit = limit  # -1 once nothing more is read, which no frame passes
        self._buffer = b""  # the beginning of a header, or of a control frame
        self._message: _Message | None = None
        self.failure: FrameError | None = None

    def receive(self, data: bytes) -> list[tuple[int, bytes]]:
        """Takes bytes as they came from the socket, cut anywhere.

        Returns:
            `(opcode, payload)` of each message (`TEXT`, `BINARY`) and control frame (`PING`,
            `PONG`, `CLOSE`) that is now complete, in order. A close frame's payload is valid:
            `read_close` raises nothing for it. Look at `failure` afterwards.
        """
        size = len(data)
        if not self._buffer and self._message is None and size >= 6 and data[0] == 0x82:
            length = data[1] - 128  # below 0 without the mask bit
            if length == size - 6 < 126 and length <= self._limit:
                return [(BINARY, mask(data[2:6], data[6:]))]
            if length == 126 and (data[2] << 8 | data[3]) == size - 8 <= self._limit:
                return [(BINARY, mask(data[4:8], data[8:]))]
        return self._receive(data)

    def _receive(self, data: bytes) -> list[tuple[int, bytes]]:
        frames: list[tuple[int, bytes]] = []
        if self._limit >= 0:
            data = self._buffer + data
            try:
                self._buffer = data[self._parse(data, frames) :]
            except FrameError as error:
                self.failure = error
                self._stop()
        return frames

    def _stop(self) -> None:
        self._limit = -1
        self._buffer = b""
        self._message = None

    def _parse(self, data: bytes, frames: list[tuple[int, bytes]]) -> int:
        """Appends what is complete to `frames`; returns how many bytes were used."""
        position = 0
        while True:
            message = self._message
            if message is not None and message.missing:
                position = self._fill(message, data, position, frames)
                if message.missing:
                    return position
                message = self._message
            header = _read_header(data, position)
            if header is None:
                return position
            first, length, start = header
            end = start + length
            if first & 0x08:
                if end > len(data):
                    return position
                self._control(first, mask(data[start - 4 : start], data[start:end]), frames)
                if self._limit < 0:
                    return len(data)
                position = end
                continue
            opcode = self._check_data(first, length)
            if message is None and first & _FIN and end <= len(data):
                payload = mask(data[start - 4 : start], data[start:end])
                if opcode == TEXT:
                    _check_text(payload)
                frames.append((opcode, payload))
                position = end
                continue
            if message is None:
                message = self._message = _Message(opcode)
            message.begin(data[start - 4 : start], length, bool(first & _FIN))
            position = self._fill(message, data, start, frames)

    def _fill(
        self, message: _Message, data: bytes, position: int, frames: list[tuple[int, bytes]]
    ) -> int:
        """Gives `message` what is there of the frame it waits for; returns the new position."""
        if message.missing:
            chunk = data[position : position + message.missing]
            position += len(chunk)
            message.add(chunk)
        if message.final and not message.missing:
            self._message = None
            frames.append((message.opcode, message.finish()))
        return position

    def _control(self, first: int, payload: bytes, frames: list[tuple[int, bytes]]) -> None:
        opcode = first & 0x0F
        if opcode == CLOSE:
            read_close(payload)
            self._stop()
        frames.append((opcode, payload))

    def _check_data(self, first: int, length: int) -> int:
        """The opcode of the message that a data frame belongs to.

        Raises:
            FrameError: it is not this frame's turn, or the message grows past the limit.
        """
        message = self._message
        opcode = first & 0x0F
        held = 0
        if message is not None:
            if opcode != CONTINUATION:
                raise FrameError(BROKEN_FRAME, "new message within a fragmented one")
            opcode = message.opcode
            held = len(message.data)
        elif opcode == CONTINUATION:
            raise FrameError(BROKEN_FRAME, "continuation of no message")
        if held + length > self._limit:
            raise FrameError(TOO_BIG, f"message longer than {self._limit} bytes")
        return opcode


def _read_header(data: bytes, position: int) -> tuple[int, int, int] | None:
    """First byte, payload length and start of the payload; None if the header is not all there.

    Raises:
        FrameError: reserved bits or opcodes, no mask, or a long or fragmented control frame.
    """
    available = len(data) - position
    if available < 2:
        return None
    first = data[position]
    opcode = first & 0x0F
    length = data[position + 1]
    if first & _RESERVED:
        raise FrameError(BROKEN_FRAME, "reserved bits are set")
    if opcode not in _OPCODES:
        raise FrameError(BROKEN_FRAME, f"opcode {opcode} is reserved")
    if not length & _MASKED:
        raise FrameError(BROKEN_FRAME, "frame of a client is not masked")
    length &= 0x7F
    if opcode >= CLOSE and (length > _LONGEST_CONTROL or not first & _FIN):
        raise FrameError(BROKEN_FRAME, "control frame is too long or fragmented")
    start = position + 6
    if length >= 126:
        start += 2 if length == 126 else 8
        length = int.from_bytes(data[position + 2 : start - 4], "big")
    if start - position > available:
        return None
    return first, length, start


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise FrameError(BAD_TEXT, "text is not UTF-8") from None
