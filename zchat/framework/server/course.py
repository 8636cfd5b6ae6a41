"""The order in which the parts of a server start and stop, as two lists of steps."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from zchat.framework.app import lifecycle
from zchat.framework.app.components import Components
from zchat.framework.app.lifecycle import Step, Work, name_of
from zchat.framework.app.plan import Moment
from zchat.framework.handlers.requests import Requests
from zchat.framework.peers.deadline import in_time
from zchat.framework.peers.node import Node
from zchat.framework.server.frontend_part import FrontendPart
from zchat.framework.server.owner_part import OwnerPart
from zchat.framework.server.pulse import Pulse

if TYPE_CHECKING:
    from zchat.framework.app.application import Application

_LEAST_DRAIN = 1.0
"""Seconds that a hook of `before_stop` has in any case."""


class Begin(NamedTuple):
    """What starts the parts whose start is more than their own."""

    peers: Work
    rooms: Work
    timers: Work


class Course:
    """Lower parts start first, and clients are let in last; they are seen off first.

    Args:
        app: at work; its hooks and components have their turns.
        begin: what starts peers, rooms and timers.
        node: the links to peers.
        requests: those of clients elsewhere.
        owner: has the rooms, if there are any here.
        frontend: has the clients, if there are any here.
        pulse: what is done regularly.
        outer: parts beside zchat's own and the application's.
    """

    def __init__(
        self,
        app: Application,
        begin: Begin,
        node: Node,
        requests: Requests,
        owner: OwnerPart | None,
        frontend: FrontendPart | None,
        pulse: Pulse,
        outer: Components,
    ) -> None:
        self._app = app
        self._begin = begin
        self._node = node
        self._requests = requests
        self._owner = owner
        self._frontend = frontend
        self._pulse = pulse
        self._outer = outer

    def start_steps(self) -> list[Step]:
        """What is done to start."""
        begin, components = self._begin, self._app.components
        steps = self._hook_steps("before_start")
        steps.append(Step("peers", begin.peers))
        if self._owner:
            steps.append(Step("rooms", begin.rooms))
        steps += [Step("timers", begin.timers), *components.start_steps()]
        if self._frontend:
            steps.append(Step("clients", self._frontend.start))
        steps += self._outer.start_steps()
        return steps + components.after_start_steps() + self._hook_steps("after_start")

    def stop_steps(self, drain: float, *, hooks: bool) -> list[Step]:
        """What is done to stop; parts that have not started are stopped as well.

        Args:
            drain: seconds that all of it may take, from now.
            hooks: whether those of `before_stop` have their turn.
        """
        deadline = time.monotonic() + drain
        steps = []
        if hooks:
            steps += [
                Step(step.name, partial(_in_time, step.run, deadline))
                for step in self._hook_steps("before_stop")
            ]
        steps.append(Step("new requests", self._requests.stop))
        steps += self._outer.stop_steps()
        if self._frontend:
            steps.append(Step("clients", partial(self._see_off, self._frontend, deadline)))
        steps.append(Step("requests under way", partial(self._finish_work, deadline)))
        steps += [*self._app.components.stop_steps(), Step("timers", self._pulse.cancel)]
        # Rooms after peers: what comes from peers finds its rooms open.
        steps.append(Step("peers", self._node.close))
        if self._owner:
            steps.append(Step("rooms", self._owner.stop))
        return steps

    def hooks(self, moment: Moment) -> list[Work]:
        """The application's for this server."""
        return self._app.hooks(moment, self._app.server.type)

    def _hook_steps(self, moment: Moment) -> list[Step]:
        return [
            Step(f"{moment} {name_of(hook)}", partial(hook, self._app))
            for hook in self.hooks(moment)
        ]

    async def _see_off(self, frontend: FrontendPart, deadline: float) -> None:
        """Clients have the time that hooks have left."""
        await frontend.stop(max(deadline - time.monotonic(), 0))

    async def _finish_work(self, deadline: float) -> None:
        """Let requests under way be answered."""
        while self._node.busy and time.monotonic() < deadline:  # noqa: ASYNC110 (a count, no event)
            await asyncio.sleep(0.01)


async def _in_time(work: Work, deadline: float) -> None:
    left = max(deadline - time.monotonic(), _LEAST_DRAIN)
    await in_time(lifecycle.run(work), left)
