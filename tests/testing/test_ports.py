"""Ports for servers that must know each other's beforehand."""

from __future__ import annotations

import socket

import pytest

from zchat.testing import ports
from zchat.testing.ports import free_ports


def test_each_is_another_one_and_free() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    for port in found:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_they_are_not_given_out_twice() -> None:
    assert not set(free_ports(10)) & set(free_ports(10))


def test_one_that_is_in_use_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_ports(2)
    monkeypatch.setattr(ports, "_candidates", lambda: iter((taken, free)))
    with socket.socket() as used:
        used.bind(("127.0.0.1", taken))
        assert free_ports(1) == [free]


@pytest.mark.parametrize("worker", range(3))
def test_workers_of_one_run_have_their_own(worker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    found = sorted(ports._candidates())
    assert found == list(range(10_000 + worker * 6_666, 10_000 + (worker + 1) * 6_666))


def test_there_may_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_candidates", lambda: iter(()))
    with pytest.raises(OSError, match="no 1 free ports"):
        free_ports(1)
