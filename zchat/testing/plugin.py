"""The pytest plugin: fixtures for the tests of an application. pytest finds it by itself.

    async def test_hello(cluster: Cluster) -> None:
        ann = await cluster.connect("ann")
        await ann.expect_response("connector.entryHandler.entry")

It needs pytest-asyncio (`pip install "zchat[testing]"`), with `asyncio_mode = auto` in the
project's pytest.ini, which also makes the project's folder pytest's root. Another folder is named
there by `zchat_project`.

pytest loads this file wherever zchat is installed: what it needs is imported when a fixture is
used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

try:
    from pytest_asyncio import fixture as async_fixture
except ImportError:  # pytest then says of each test with a cluster what is missing
    async_fixture = pytest.fixture  # type: ignore[assignment]

if TYPE_CHECKING:
    from zchat.testing.cluster import Cluster


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the line of pytest.ini that names the project."""
    about = "folder of the zchat application under test (default: pytest's root)"
    parser.addini("zchat_project", about, default="")


@pytest.fixture
def zchat_project(pytestconfig: pytest.Config) -> Path:
    """The project's folder, with config/ in it; to be overridden where it is another one."""
    return pytestconfig.rootpath / str(pytestconfig.getini("zchat_project"))


@async_fixture
async def cluster(zchat_project: Path, tmp_path: Path) -> AsyncIterator[Cluster]:
    """All servers of the project but the web server, in this process; a new one for each test."""
    from zchat.testing.cluster import Cluster

    async with Cluster.of_project(zchat_project, tmp_path / "cluster") as cluster:
        yield cluster
