"""A client that keeps what is pushed to it, and says what a test expects of the servers.

ann = await cluster.connect("ann")
await ann.expect_response("connector.entryHandler.enter", {"name": "ann", "area": "forest"})
await ann.expect_response("area.walkHandler.step", {"x": 1})
assert (await ann.expect_push("onStep"))["x"] == 1
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from zchat.client import Client, Ending, StateChange
from zchat.client.state import OFFLINE, RECONNECTING
from zchat.testing.timing import MS, eventually

WAIT = 2000 * MS
"""Seconds that an expectation waits, if the test says nothing else."""

_SHOWN = 10


class RecordingClient:
    """A client of the application under test.

    It keeps every push until the test ends. Each expectation of a push takes the next one of its
    route, so that a test reads in the order in which things happen.

    Args:
        name: who it is, for texts.
        client: not started yet.
    """

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client
        """What it speaks through, for all that a test may want beside expectations."""
        self.pushes: list[tuple[str, Any]] = []
        """Everything that was pushed, as (route, body), oldest first."""
        self._expected: Counter[str] = Counter()
        self._endings: list[Ending] = []
        client.on_any(lambda route, body: self.pushes.append((route, body)))
        client.on_state(self._changed)

    async def start(self) -> None:
        """Connect; raises as `Client.start`."""
        await self.client.start()

    async def close(self) -> None:
        """Leave. Idempotent."""
        await self.client.close()

    async def request(self, route: str, body: Any = None, timeout: float = WAIT) -> Any:
        """Ask; returns the answer whatever its code."""
        return await self.client.request(route, body, timeout=timeout)

    async def notify(self, route: str, body: Any = None) -> None:
        """Say something that has no answer."""
        await self.client.notify(route, body)

    async def expect_response(
        self, route: str, body: Any = None, *, code: int = 200, timeout: float = WAIT
    ) -> dict[str, Any]:
        """Ask, and expect an answer of this code.

        Args:
            route: `serverType.handlerName.method`.
            body: JSON, an object by default.
            code: an answer that has none counts as 200.
            timeout: seconds.

        Returns:
            the answer.

        Raises:
            AssertionError: it has another code, or is no object.
            TimedOut, Disconnected: there was none.
        """
        answer = await self.request(route, body, timeout)
        assert isinstance(answer, dict), f"{route} answered {answer!r}, which is no object"
        found = answer.get("code", 200)
        assert found == code, f"{route}: expected code {code}, found {answer!r}"
        return answer

    async def expect_push(self, route: str, timeout: float = WAIT) -> Any:
        """The next push of a route that was not expected before, come or yet to come.

        Args:
            route: of the push.
            timeout: seconds to wait for it.

        Returns:
            its body.

        Raises:
            AssertionError: none came in time; the text says what did.
        """
        index = self._expected[route]
        try:
            await eventually(lambda: len(self.pushes_on(route)) > index, timeout)
        except AssertionError:
            raise AssertionError(
                f"no push on {route} within {timeout:g} s; {self._came()}"
            ) from None
        self._expected[route] += 1
        return self.pushes_on(route)[index]

    async def expect_no_push(self, route: str, within: float = 100 * MS) -> None:
        """Expect that no further push of a route comes.

        It can only wait and see. Where there is something else to wait for that comes later, such
        as the answer to a request, that is quicker and surer.

        Args:
            route: of the push.
            within: seconds to wait.

        Raises:
            AssertionError: one came.
        """
        await asyncio.sleep(within)
        further = self.pushes_on(route)[self._expected[route] :]
        assert not further, f"expected no push on {route}, found {further[0]!r}"

    async def expect_end(self, timeout: float = WAIT) -> Ending:
        """Expect that the server ends the connection, as a kick does; returns why.

        Raises:
            AssertionError: it is still up after `timeout` seconds.
        """
        try:
            await eventually(lambda: self._endings, timeout)
        except AssertionError:
            raise AssertionError(f"{self.name} is still connected after {timeout:g} s") from None
        return self._endings.pop(0)

    def pushes_on(self, route: str) -> list[Any]:
        """The bodies of all pushes of a route so far, expected or not."""
        return [body for pushed, body in self.pushes if pushed == route]

    def _changed(self, change: StateChange) -> None:
        if change.state in (OFFLINE, RECONNECTING) and change.ending is not None:
            self._endings.append(change.ending)

    def _came(self) -> str:
        if not self.pushes:
            return "nothing was pushed"
        last = ", ".join(f"{route} {body!r}" for route, body in self.pushes[-_SHOWN:])
        return f"of {len(self.pushes)} pushes the last ones are: {last}"
