"""Projects whose application is imported into this process, and forgotten after the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zchat.ops.init import create


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[None]:
    """What is imported from the test's folder is unknown to the next test."""
    path = sys.path[:]
    yield
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def project(tmp_path: Path, forgetful: None) -> Path:
    """A connector that answers `connector.entryHandler.entry`."""
    create(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def talk(tmp_path: Path, forgetful: None) -> Path:
    """A chat with rooms."""
    create(tmp_path / "talk", chat=True)
    return tmp_path / "talk"
