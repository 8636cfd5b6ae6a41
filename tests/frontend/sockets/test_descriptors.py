"""File descriptors: what fits, and that the limit is raised to what is allowed."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from zchat.frontend.sockets.descriptors import capacity, raise_limit


@pytest.fixture
def hard_limit() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_is_raised_to_the_hard_one(hard_limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard_limit))
    limit = raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limit, hard_limit)
    assert limit > 512
    assert raise_limit() == limit


@pytest.mark.parametrize(
    ("limit", "wanted", "fitting"),
    [
        (20_128, 0, 17_777),
        (20_128, 500, 500),
        (20_128, 50_000, 17_777),
        (1024, 0, 796),
        (64, 0, 1),
    ],
)
def test_the_capacity_leaves_room_for_everything_else(
    limit: int, wanted: int, fitting: int
) -> None:
    assert capacity(limit, wanted) == fitting
