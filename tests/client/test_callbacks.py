from __future__ import annotations

from collections.abc import Callable

import pytest

from zchat.client.callbacks import Callbacks


def test_called_in_the_order_in_which_they_came() -> None:
    callbacks = Callbacks[int]()
    heard: list[tuple[str, int]] = []
    offs = [
        callbacks.add(lambda said, name=name: heard.append((name, said)))  # type: ignore[misc]
        for name in "ab"
    ]
    callbacks.call(1)
    offs[0]()
    offs[0]()
    callbacks.call(2)
    assert heard == [("a", 1), ("b", 1), ("b", 2)]
    assert callbacks
    offs[1]()
    assert not callbacks


def test_one_that_is_there_twice_goes_once_at_a_time() -> None:
    callbacks = Callbacks[int]()
    heard: list[int] = []
    off = callbacks.add(heard.append)
    callbacks.add(heard.append)
    off()
    callbacks.call(1)
    assert heard == [1]


def test_they_may_go_while_they_are_called() -> None:
    callbacks = Callbacks[int]()
    heard: list[int] = []
    offs: list[Callable[[], None]] = []

    def once(said: int) -> None:
        offs[0]()
        heard.append(said)

    offs.append(callbacks.add(once))
    callbacks.add(heard.append)
    callbacks.call(1)
    callbacks.call(2)
    assert heard == [1, 1, 2]


def test_one_that_fails_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    callbacks = Callbacks[dict[str, int]]()
    heard: list[dict[str, int]] = []
    callbacks.add(lambda said: said["missing"])
    callbacks.add(heard.append)
    callbacks.call({})
    assert heard == [{}]
    assert "KeyError: 'missing'" in caplog.text
