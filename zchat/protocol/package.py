"""The outer unit of the client wire: a type, a length and a body (pomelo wire 3).

    byte   0      1   2   3      4 ...
         +------+--------------+-----------+
         | type | length, big- | body      |
         |      | endian, 24   |           |
         +------+--------------+-----------+

    type  name           direction  body
    1     handshake      both       JSON
    2     handshake ack  C -> S     none
    3     heartbeat      both       none
    4     data           both       a message, see `message.py`
    5     kick           S -> C     JSON {"reason": string}

Two readers: `decode` for a WebSocket message, which holds whole packages; `PackageDecoder` for a
byte stream, which may cut them anywhere.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from zchat.errors import ProtocolError

__all__ = [
    "MAX_BODY",
    "Package",
    "PackageDecoder",
    "PackageTooBig",
    "PackageType",
    "decode",
    "encode",
]

MAX_BODY = 2**24 - 1
"""Bytes of the largest body that the 24-bit length can say (pomelo wire 3.2)."""

HEADER = 4


class PackageType(IntEnum):
    HANDSHAKE = 1
    HANDSHAKE_ACK = 2
    HEARTBEAT = 3
    DATA = 4
    KICK = 5


HANDSHAKE = PackageType.HANDSHAKE
HANDSHAKE_ACK = PackageType.HANDSHAKE_ACK
HEARTBEAT = PackageType.HEARTBEAT
DATA = PackageType.DATA
KICK = PackageType.KICK

_TYPES = (None, HANDSHAKE, HANDSHAKE_ACK, HEARTBEAT, DATA, KICK)


class PackageTooBig(ProtocolError):
    """A header announces more than the limit."""


class Package(msgspec.Struct, frozen=True, gc=False):
    """One package as received. An absent body is `b""`."""

    type: PackageType
    body: bytes = b""


def encode(package_type: PackageType, body: bytes = b"") -> bytes:
    """Build one package.

    Raises:
        ValueError: the type is not 1-5, or the body exceeds `MAX_BODY`; the reference lets the
            length wrap there and its peer loses the framing (pomelo wire 3.2).
    """
    size = len(body)
    if size > MAX_BODY:
        raise ValueError(f"a package body holds at most {MAX_BODY} bytes, not {size}")
    return (PackageType(package_type) << 24 | size).to_bytes(HEADER, "big") + body


def decode(data: bytes, limit: int = MAX_BODY) -> list[Package]:
    """Read the packages of one WebSocket message.

    Nothing of a bad message is returned. Header bytes that are missing at the end read as zero, as
    in the reference, so `b"\\x03"` is a heartbeat (pomelo wire 4.4). Missing body bytes are an
    error: the reference makes them up.

    Args:
        limit: bytes that one body may have.

    Returns:
        the packages in order; an empty list for no bytes.

    Raises:
        ProtocolError: unknown type, a body beyond `limit` or beyond the end of `data`.
    """
    packages = []
    position, end = 0, len(data)
    while position < end:
        header = data[position : position + HEADER].ljust(HEADER, b"\0")
        package_type, size = _read_header(header, limit)
        position += HEADER
        if size == 0:
            packages.append(_BODILESS[package_type])
            continue
        if position + size > end:
            left = max(end - position, 0)
            raise ProtocolError(f"{package_type.name} package of {size} bytes; {left} follow")
        packages.append(Package(package_type, data[position : position + size]))
        position += size
    return packages


class PackageDecoder:
    """Reads packages from a stream that may cut them anywhere (pomelo wire 5.3).

    Holds at most one incomplete package: `limit` bytes of body and its header.

    Args:
        limit: bytes that one body may have; a header that announces more breaks the stream at
            once, before any of that body is kept.
    """

    __slots__ = ("_buffer", "_limit", "error")

    def __init__(self, limit: int = MAX_BODY) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self.error: ProtocolError | None = None
        """Why the stream is broken. Packages completed before the break are still returned, so
        look here after handling what `feed` gave (pomelo wire 5.4)."""

    def feed(self, data: bytes) -> list[Package]:
        """Take the next bytes of the stream and return the packages that they complete.

        Raises:
            ProtocolError: the stream was broken by an earlier call; see `error`.
        """
        if self.error is not None:
            raise self.error
        self._buffer += data
        packages: list[Package] = []
        try:
            self._read_into(packages)
        except ProtocolError as error:
            self.error = error
            self._buffer.clear()
        return packages

    def _read_into(self, packages: list[Package]) -> None:
        buffer, position, end = self._buffer, 0, len(self._buffer)
        while end - position >= HEADER:
            header = bytes(buffer[position : position + HEADER])
            package_type, size = _read_header(header, self._limit)
            body = position + HEADER
            if end - body < size:
                break
            packages.append(Package(package_type, bytes(buffer[body : body + size])))
            position = body + size
        del buffer[:position]


def _read_header(header: bytes, limit: int) -> tuple[PackageType, int]:
    number = header[0]
    package_type = _TYPES[number] if number <= KICK else None
    if package_type is None:
        raise ProtocolError(f"package type {number}; expected 1-5")
    size = int.from_bytes(header[1:], "big")
    if size > limit:
        raise PackageTooBig(f"{package_type.name} package of {size} bytes; the limit is {limit}")
    return package_type, size


# One message may hold thousands of bodiless packages: they share one object per type.
_BODILESS = {package_type: Package(package_type) for package_type in PackageType}
