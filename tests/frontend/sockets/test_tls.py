"""TLS on the clients' port: both transports, the same limits, certificates that change."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from pathlib import Path

import pytest

from tests.frontend.wire import (
    ACK,
    HANDSHAKE,
    NOTIFY,
    Door,
    Peer,
    TlsPeer,
    door,
    masked,
    request,
    until,
)
from tests.support.certificates import Authority
from tests.support.logs import ExpectedLogs
from zchat.config.settings import Limits
from zchat.errors import ConfigError
from zchat.frontend.sockets.disconnect import SLOW_READER
from zchat.frontend.sockets.frames import CLOSE, frame
from zchat.frontend.sockets.tls import Certificate
from zchat.protocol import package


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def certificate(authority: Authority, tmp_path: Path) -> Certificate:
    return Certificate(*authority.issue(tmp_path))


async def working(opened: Door, context: ssl.SSLContext) -> TlsPeer:
    """A WebSocket over TLS on which messages may be sent."""
    peer = await opened.connect_tls(context)
    await peer.send(request() + masked(HANDSHAKE))
    status, _, _ = await peer.response()
    assert status == 101
    await Peer.frame(peer)
    await peer.send(masked(ACK))
    await Peer.frame(peer)
    return peer


async def test_both_transports(authority: Authority, certificate: Certificate) -> None:
    async with door(certificate=certificate) as opened:
        websocket = await working(opened, authority.client)
        tcp = await opened.connect_tls(authority.client)
        await tcp.shake()
        await tcp.send(NOTIFY)
        await websocket.send(masked(NOTIFY) * 3)
        await until(lambda: len(opened.messages) == 4)
        large = package.encode(package.DATA, b"\x06\x06onChat" + b"x" * 300_000)
        for connection in opened.opened:
            connection.enqueue(frame(large))
        assert await tcp.read(len(large)) == large
        assert (await Peer.frame(websocket))[1] == large
        status, _, _ = await ask_health(opened, authority.client)
        assert status == 200


async def ask_health(opened: Door, context: ssl.SSLContext) -> tuple[int, str, bytes]:
    peer = await opened.connect_tls(context)
    await peer.send(request("/healthz", Upgrade=None, Connection=None))
    return await peer.response()


async def test_a_large_message_comes_in(authority: Authority, certificate: Certificate) -> None:
    """It takes several records: none may be left where the event loop does not see it."""
    async with door(certificate=certificate) as opened:
        tcp = await opened.connect_tls(authority.client)
        await tcp.shake()
        websocket = await working(opened, authority.client)
        body = b"\x02\x03a.b" + b'{"a":"' + b"x" * 60_000 + b'"}'
        for _ in range(3):
            await tcp.send(package.encode(package.DATA, body))
            await websocket.send(masked(package.encode(package.DATA, body)))
        await until(lambda: len(opened.messages) == 6)
        assert {len(said.body) for _, said in opened.messages} == {len(body) - 5}


async def test_goodbyes_are_said(authority: Authority, certificate: Certificate) -> None:
    """The farewell, then the end of TLS, then that of TCP: no client takes it for an attack."""
    async with door(certificate=certificate) as opened:
        tcp = await opened.connect_tls(authority.client)
        await tcp.shake()
        websocket = await working(opened, authority.client)
        for connection in opened.opened:
            connection.kick("go")
        assert (await tcp.package()).type is package.KICK
        assert await tcp.rest() == b""
        await Peer.frame(websocket)
        assert (await Peer.frame(websocket))[0] == CLOSE
        assert await websocket.rest() == b""
        tcp.close()
        websocket.close()
        await until(lambda: not opened.connections.sockets)


async def test_a_client_that_goes(authority: Authority, certificate: Certificate) -> None:
    async with door(certificate=certificate) as opened:
        gone = await working(opened, authority.client)
        gone.close()
        torn = await working(opened, authority.client)
        torn.writer.transport.abort()
        await until(lambda: len(opened.closed) == 2)
        assert opened.counters == {"connection_lost": 2}


async def test_a_slow_reader_is_cut_off_and_nobody_else_waits(
    authority: Authority, certificate: Certificate
) -> None:
    async with door(certificate=certificate, limits=Limits(outbox_bytes=200_000)) as opened:
        slow = await opened.connect_tls(authority.client)
        await slow.shake()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = opened.opened
        quick = await opened.connect_tls(authority.client)
        await quick.shake()
        data = frame(package.encode(package.DATA, b"\x06\x06onChat" + b"x" * 8000))
        while connection.disconnect is None:
            connection.enqueue(data)
            await asyncio.sleep(0)
        assert opened.counters == {"slow_reader": 1}
        assert connection.waiting < 200_000 + 70_000
        await quick.send(NOTIFY)
        await until(lambda: opened.messages)
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        while (item := await slow.package()).type is package.DATA:
            assert len(item.body) == 8008  # after every block the same bytes were sent again
        assert SLOW_READER.reason.encode() in item.body


async def test_who_speaks_no_tls_is_closed_and_counted(certificate: Certificate) -> None:
    async with door(certificate=certificate) as opened:
        peers = [await opened.connect() for _ in range(3)]
        await peers[0].send(request())
        await peers[1].send(HANDSHAKE)
        assert b"HTTP" not in await peers[0].rest(reset=True)
        await peers[1].rest(reset=True)
        assert opened.counters == {"tls_failed": 2}
        opened.after(10.5)
        assert await peers[2].rest() == b""
        assert opened.counters["handshake_timeout"] == 1


async def test_a_client_that_does_not_trust_us(certificate: Certificate) -> None:
    async with door(certificate=certificate) as opened:
        with pytest.raises(ssl.SSLCertVerificationError):
            await opened.connect_tls(ssl.create_default_context())
        await until(lambda: opened.counters)
        assert opened.counters == {"tls_failed": 1}


async def test_old_versions_are_refused(authority: Authority, certificate: Certificate) -> None:
    async with door(certificate=certificate) as opened:
        authority.client.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            await (await opened.connect_tls(authority.client)).shake()
        finally:
            authority.client.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert certificate._context.minimum_version is ssl.TLSVersion.TLSv1_2


def serial_of(peer: TlsPeer) -> str:
    shown: str = peer.writer.get_extra_info("peercert")["serialNumber"]
    return shown


async def test_a_new_certificate_is_for_new_connections(
    authority: Authority, certificate: Certificate, tmp_path: Path, expected_logs: ExpectedLogs
) -> None:
    async with door(certificate=certificate) as opened:
        before = await working(opened, authority.client)
        opened.acceptor.tick(1.0)
        authority.issue(tmp_path)
        opened.acceptor.tick(1.5)  # too early
        same = await opened.connect_tls(authority.client)
        assert serial_of(same) == serial_of(before)
        opened.acceptor.tick(2.0)
        after = await opened.connect_tls(authority.client)
        assert serial_of(after) != serial_of(before)
        await before.send(masked(NOTIFY))
        await until(lambda: opened.messages)

        expected_logs("zchat.admin", "server.pem.*; the certificate that was read before is kept")
        broken = tmp_path / "server.pem"
        broken.write_text("nonsense")
        opened.acceptor.tick(3.0)
        opened.acceptor.tick(4.0)  # it is said once
        assert serial_of(await opened.connect_tls(authority.client)) == serial_of(after)
        broken.unlink()
        opened.acceptor.tick(5.0)
        authority.issue(tmp_path)
        opened.acceptor.tick(6.0)
        healed = await opened.connect_tls(authority.client)
        assert serial_of(healed) not in (serial_of(before), serial_of(after))


def test_what_is_no_certificate_names_the_file(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(tmp_path)
    missing = tmp_path / "missing.pem"
    with pytest.raises(ConfigError, match=re.escape(f"{missing}: no such file")):
        Certificate(missing)
    with pytest.raises(ConfigError, match=re.escape(f"{certificate}: no certificate with its key")):
        Certificate(certificate)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    Certificate(both)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
        Certificate(certificate, authority.issue(other)[1])


def test_a_link_that_is_turned_is_a_change(authority: Authority, tmp_path: Path) -> None:
    """As certbot does it: the path stays, what it leads to does not."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        authority.issue(tmp_path / name)
    live = tmp_path / "live"
    live.symlink_to("old")
    certificate = Certificate(live / "server.pem", live / "server.key")
    context = certificate._context
    certificate.tick(1.0)
    assert certificate._context is context
    (tmp_path / "next").symlink_to("new")
    os.replace(tmp_path / "next", live)
    certificate.tick(2.0)
    assert certificate._context is not context
