from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.client.fake_server import FakeServer, fake_server


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as started:
        yield started
