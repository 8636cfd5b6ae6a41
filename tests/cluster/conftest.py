"""Fixtures of the tests of zchat.cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.cluster.harness import Cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Makes servers and closes whatever of them the test left open."""
    made = Cluster()
    yield made
    await made.close()
