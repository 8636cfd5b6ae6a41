"""The Autobahn test suite against an echo server made of our frames and sockets.

`kosoku` runs the suite's own case files from a process of its own: the 247 core cases, and those of
group 9 about long and fragmented messages. Groups 12 and 13 are about compression, which is never
negotiated.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.frontend.wire import door
from zchat.config.settings import Client, Limits
from zchat.frontend.sockets import acceptor
from zchat.frontend.sockets.frames import frame
from zchat.frontend.sockets.websocket import WebSocketConnection
from zchat.protocol.handshake import ServerHandshake
from zchat.protocol.package import MAX_BODY

pytest.importorskip("kosoku")

CORE_CASES = 247
LONG_CASES = 54
PASSED = {"OK", "INFORMATIONAL"}
"""INFORMATIONAL: the suite has no opinion. NON-STRICT would also count as passed there, but means
that bad UTF-8 was noticed late."""


class Echo(WebSocketConnection):
    """Sends messages back in place of speaking Pomelo."""

    __slots__ = ()

    def _message(self, opcode: int, payload: bytes) -> None:
        self.enqueue(frame(payload, opcode))


@pytest.fixture
async def echo_port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(acceptor, "WebSocketConnection", Echo)
    plenty = 1 << 30
    async with door(
        handshake=ServerHandshake(limit=MAX_BODY),
        client=Client(handshake_timeout=600.0),
        limits=Limits(
            messages_per_second=plenty,
            messages_burst=plenty,
            bytes_per_second=plenty,
            bytes_burst=plenty,
            outbox_bytes=64 << 20,
        ),
    ) as opened:
        yield opened.port


async def run_suite(port: int, folder: Path) -> dict[str, dict[str, Any]]:
    """The suite's verdicts, by case."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("kosoku")),
        *("--exclude", "12.*", "--exclude", "13.*"),
        *("--parallelism", "8", "--outdir", str(folder), f"127.0.0.1:{port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert (folder / "index.json").exists(), output.decode()
    (cases,) = json.loads((folder / "index.json").read_text()).values()
    assert isinstance(cases, dict)
    return cases


@pytest.mark.timeout(120)
async def test_all_core_cases_pass(echo_port: int, tmp_path: Path) -> None:
    cases = await run_suite(echo_port, tmp_path)
    bad = {
        case: (verdict["behavior"], verdict["behaviorClose"])
        for case, verdict in cases.items()
        if verdict["behavior"] not in PASSED or verdict["behaviorClose"] not in PASSED
    }
    assert not bad
    long = [case for case in cases if case.startswith("9.")]
    assert (len(cases) - len(long), len(long)) == (CORE_CASES, LONG_CASES)
