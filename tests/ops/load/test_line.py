"""The generator's WebSocket, against bare servers and a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.ops.load.bare import WELCOME, Bare, serving
from tests.support.cluster import Cluster
from tests.support.timing import MS, eventually
from zchat.client import Disconnected
from zchat.frontend.sockets.frames import BINARY, PING, TEXT, FrameParser, close_frame, frame
from zchat.ops.load import line as module
from zchat.ops.load.line import Line, masked

SOON = 5000 * MS


class Probe:
    """A line and what it said."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.lost: list[str] = []
        self.line = Line(lambda messages, now: self.messages.extend(messages), self.lost.append)


@asynccontextmanager
async def connected(*pieces: bytes) -> AsyncIterator[tuple[Bare, Probe]]:
    async with serving(WELCOME, *pieces) as bare:
        probe = Probe()
        await probe.line.open(bare.url, SOON)
        try:
            yield bare, probe
        finally:
            probe.line.close()


SIZES = (0, 1, 125, 126, 65535, 65536)


@pytest.mark.parametrize("cut", [1000, 70_000])
async def test_messages_of_all_sizes_in_any_pieces(cut: int) -> None:
    messages = [b"m" * size for size in SIZES]
    stream = b"".join(map(frame, messages))
    pieces = [stream[at : at + cut] for at in range(0, len(stream), cut)]
    async with connected(*pieces) as (_, probe):
        await eventually(lambda: len(probe.messages) == len(messages))
        assert probe.messages == messages


async def test_every_cut_of_a_short_stream() -> None:
    stream = frame(b"a" * 130) + frame(b"b")
    async with connected(*(stream[at : at + 1] for at in range(len(stream)))) as (_, probe):
        await eventually(lambda: probe.messages == [b"a" * 130, b"b"])


@pytest.mark.parametrize("size", SIZES)
def test_frames_are_as_a_server_reads_them(size: int) -> None:
    parser = FrameParser(1 << 20)
    assert parser.receive(masked(BINARY, b"x" * size)) == [(BINARY, b"x" * size)]
    assert parser.failure is None


async def test_what_is_sent_arrives() -> None:
    async with connected() as (bare, probe):
        assert probe.line.send(b"hello")
        await eventually(lambda: not bare.heard.endswith(b"\r\n\r\n"))
        _, _, rest = bare.heard.partition(b"\r\n\r\n")
        assert FrameParser(100).receive(rest) == [(BINARY, b"hello")]


async def test_a_ping_is_answered() -> None:
    async with connected(frame(b"there?", PING)) as (bare, probe):
        await eventually(lambda: not bare.heard.endswith(b"\r\n\r\n"))
        _, _, rest = bare.heard.partition(b"\r\n\r\n")
        assert FrameParser(100).receive(rest) == [(0xA, b"there?")]
        assert probe.lost == []


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        (close_frame(4003, "too many"), "closed by the server: 4003 too many"),
        (frame(b"text", TEXT), "a frame that begins with 0x81; expected whole binary messages"),
        (bytes((BINARY, 1)) + b"x", "a frame that begins with 0x2; expected whole binary messages"),
    ],
)
async def test_what_ends_it(piece: bytes, why: str) -> None:
    async with connected(piece) as (_, probe):
        await eventually(lambda: probe.lost == [why])
        assert not probe.line.send(b"too late")


async def test_a_lost_connection_is_told_once() -> None:
    async with connected() as (bare, probe):
        assert bare.writer is not None
        bare.writer.close()
        await eventually(lambda: probe.lost)
        assert probe.lost == ["connection lost"]


async def test_who_closes_is_not_told() -> None:
    async with connected() as (bare, probe):
        probe.line.close()
        await eventually(lambda: bare.writer is not None and bare.writer.is_closing())
        assert probe.lost == []


async def test_no_websocket() -> None:
    async with serving(b"HTTP/1.1 503 Busy\r\n\r\n") as bare:
        with pytest.raises(Disconnected, match="no WebSocket: b'HTTP"):
            await Probe().line.open(bare.url, SOON)


async def test_nobody_there() -> None:
    async with serving() as bare:
        url = bare.url
    with pytest.raises(Disconnected, match="cannot connect to"):
        await Probe().line.open(url, SOON)


async def test_nobody_answers() -> None:
    async with serving() as bare:
        with pytest.raises(Disconnected, match="Timeout"):
            await Probe().line.open(bare.url, 50 * MS)


async def test_who_does_not_read_is_written_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT", 1000)
    async with connected() as (bare, probe):
        assert bare.writer is not None
        bare.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sent = [probe.line.send(b"x" * 1_000_000) for _ in range(20)]
        assert sent[0]
        assert not sent[-1]


async def test_a_real_frontend(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"gate": 1}) as cluster:
        probe = Probe()
        await probe.line.open(cluster.url(), SOON)
        probe.line.send(b"\x05\x00\x00\x00")  # a kick is not for clients to send
        await eventually(lambda: probe.lost)
        assert probe.lost[0].startswith("closed by the server: 1002")
