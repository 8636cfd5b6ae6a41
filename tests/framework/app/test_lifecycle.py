"""Steps that start and stop, and hooks."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.support.logs import ExpectedLogs
from zchat.errors import ConfigError, StartError
from zchat.framework.app import lifecycle
from zchat.framework.app.lifecycle import Step


class Taken:
    """Remembers which steps were taken."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def plain(self, name: str) -> Step:
        return Step(name, lambda: self.names.append(name))

    def coroutine(self, name: str) -> Step:
        async def run() -> None:
            self.names.append(name)

        return Step(name, run)

    def failing(self, name: str, error: Exception) -> Step:
        async def run() -> None:
            raise error

        return Step(name, run)


@pytest.fixture
def taken() -> Taken:
    return Taken()


async def test_steps_are_taken_in_order_and_said(
    taken: Taken, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zchat.admin")
    steps = [taken.plain("peers"), taken.coroutine("rooms")]
    await lifecycle.start("chat-1", steps)
    await lifecycle.stop(steps[::-1])
    assert taken.names == ["peers", "rooms", "rooms", "peers"]
    assert [record.getMessage() for record in caplog.records] == [
        "starting 1/2 peers",
        "starting 2/2 rooms",
        "stopping 1/2 rooms",
        "stopping 2/2 peers",
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigError("chat-1: no key"), "no key"),
        (ConfigError("chat-1 cannot listen"), "chat-1 cannot listen"),
        (OSError(98, "Address already in use"), "Address already in use"),
        (OSError("odd"), "odd"),
    ],
)
async def test_what_cannot_start_names_itself(taken: Taken, error: Exception, text: str) -> None:
    steps = [taken.plain("a"), taken.failing("rooms", error), taken.plain("c")]
    with pytest.raises(StartError) as caught:
        await lifecycle.start("chat-1", steps)
    assert str(caught.value) == f"chat-1: rooms cannot start: {text}"
    assert taken.names == ["a"]


async def test_an_unexpected_error_has_its_traceback_in_the_log(
    taken: Taken, expected_logs: ExpectedLogs, caplog: pytest.LogCaptureFixture
) -> None:
    expected_logs("zchat.admin", "component Board cannot start")
    with pytest.raises(StartError, match=r"component Board cannot start: KeyError: 'x'"):
        await lifecycle.start("chat-1", [taken.failing("component Board", KeyError("x"))])
    assert "raise error" in caplog.text


async def test_what_cannot_stop_keeps_nobody_from_it(
    taken: Taken, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.admin", "clients could not stop")
    await lifecycle.stop([taken.failing("clients", KeyError()), taken.plain("peers")])
    assert taken.names == ["peers"]


async def test_hooks_that_fail_are_logged(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.admin", "hook .*broken failed")
    seen: list[object] = []

    def broken(app: str, server: str) -> None:
        raise KeyError

    async def good(app: str, server: str) -> None:
        seen.append((app, server))

    hooks: list[Callable[[str, str], object]] = [broken, good]
    await lifecycle.run_hooks(hooks, "app", "chat-1")  # type: ignore[arg-type]
    assert seen == [("app", "chat-1")]


def test_names() -> None:
    assert lifecycle.name_of(Taken) == "Taken"
    assert lifecycle.name_of(Taken()) == "Taken"
    assert lifecycle.name_of(test_names) == "test_names"
