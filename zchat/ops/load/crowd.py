"""The people whom one process plays: they come in, talk when it is due, and are counted."""

from __future__ import annotations

import asyncio
import time

import msgspec

from zchat.client import Client, raise_for_code
from zchat.client.client import GATE_ROUTE
from zchat.errors import ProtocolError, RequestError
from zchat.ops.load.person import TIMEOUT, Ack, Person, Refusal
from zchat.ops.load.plan import Plan
from zchat.ops.load.tape import Publication, Tape
from zchat.testing.talker import Talk

AT_ONCE = 20
"""People of one process who come in at the same time."""

ASKED = 50
"""People whose connector is asked for on one connection to the gate: fewer than it may be asked
at once."""

IN_A_ROW = 256
"""Messages that are sent before anything is read, when several are due."""


class Progress(msgspec.Struct, tag=True):
    """How far a process is."""

    entered: int = 0
    gone: int = 0
    sent: int = 0
    answered: int = 0
    """Messages with an answer, whatever it says."""
    received: int = 0
    """Deliveries."""
    owed: int = 0
    """Deliveries that the acknowledgements promise, to people of all processes."""
    finished: int = 0
    """Processes whose people have said everything."""


class Testimony(msgspec.Struct):
    """What one person says of the load."""

    number: int
    epoch: str
    offset: int
    shown: bytes
    """Numbers of publications, an `array("I")`."""
    sent: bytes
    """Numbers of messages, likewise."""
    gone: str | None


class Account(msgspec.Struct, tag=True):
    """All that a process knows at the end."""

    publications: list[Publication]
    people: list[Testimony]
    acks: list[Ack]
    refusals: list[Refusal]
    failed: int
    unanswered: int
    unsent: int
    received: int
    arrived: list[int]
    delivered: list[dict[int, int]]
    acknowledged: dict[int, int]
    late: dict[int, int]
    cpu: float
    """Of a core, while it was measured."""


class Crowd:
    """The people of one process.

    Args:
        url: of the gate.
        plan: of the load.
        process: which of the plan's.
        talk: how the application's clients talk.
    """

    def __init__(self, url: str, plan: Plan, process: int, talk: Talk) -> None:
        self._url = url
        self._plan = plan
        self._process = process
        self._tape = Tape(plan)
        self._cpu = 0.0
        self._finished = False
        self.people = {n: Person(n, plan, talk, self._tape) for n in plan.people_of(process)}
        """By number."""

    async def enter(self) -> None:
        """Everybody comes in.

        Raises:
            ZchatError: somebody could not.
        """
        waiting = list(self.people.values())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._come(waiting))
        except* (RequestError, ProtocolError, ConnectionError) as errors:
            raise errors.exceptions[0] from None

    async def talk(self, start: float) -> None:
        """Everybody says what is due.

        What is late is sent at once, and its lateness is part of every latency that follows.

        Args:
            start: a time of `time.monotonic`.
        """
        tape, plan = self._tape, self._plan
        tape.start(start)
        talkers = plan.talking
        measuring = asyncio.create_task(self._measure(start + plan.warmup))
        row = 0
        for number in plan.messages_of(self._process):
            due = tape.due(number)
            if due > time.monotonic() or row == IN_A_ROW:
                row = 0
                await asyncio.sleep(due - time.monotonic())
            row += 1
            if tape.measures(number):
                tape.late.add(time.monotonic() - due)
            self.people[number % talkers].say(number)
        self._finished = True
        await measuring

    def leave(self) -> None:
        """Everybody goes."""
        for person in self.people.values():
            person.leave()

    def progress(self) -> Progress:
        """How far they are."""
        tape = self._tape
        return Progress(
            tape.entered,
            tape.gone,
            tape.sent,
            tape.answered,
            tape.received,
            tape.owed,
            int(self._finished),
        )

    def account(self) -> Account:
        """All that is known."""
        people, tape = self.people.values(), self._tape
        return Account(
            publications=tape.publications,
            people=[
                Testimony(p.number, *p.place, p.shown.tobytes(), p.sent.tobytes(), p.gone)
                for p in people
            ],
            acks=[ack for p in people for ack in p.acks],
            refusals=[refusal for p in people for refusal in p.refusals],
            failed=sum(p.failed for p in people),
            unanswered=sum(len(p.waiting) for p in people),
            unsent=sum(p.unsent for p in people),
            received=tape.received,
            arrived=tape.arrived,
            delivered=[histogram.counts for histogram in tape.delivered],
            acknowledged=tape.acknowledged.counts,
            late=tape.late.counts,
            cpu=self._cpu,
        )

    async def _come(self, waiting: list[Person]) -> None:
        """Bring people in, as long as somebody waits."""
        while waiting:
            people = [waiting.pop() for _ in range(min(ASKED, len(waiting)))]
            async with Client(self._url, reconnect=False, connect_timeout=TIMEOUT) as gate:
                urls = [await self._ask(gate, person.name) for person in people]
            for person, url in zip(people, urls, strict=True):
                await person.come(url)

    async def _ask(self, gate: Client, name: str) -> str:
        """Where somebody is to go."""
        place = raise_for_code(await gate.request(GATE_ROUTE, {"uid": name}, timeout=TIMEOUT))
        host, port = place.get("host"), place.get("port")
        if not isinstance(host, str) or not isinstance(port, int):
            raise ProtocolError(f"the gate names no host and port: {place!r}")
        scheme = self._url.partition(":")[0]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def _measure(self, begin: float) -> None:
        """See how much of a core this process uses while the load is measured."""
        await asyncio.sleep(begin - time.monotonic())
        used = time.process_time()
        await asyncio.sleep(begin + self._plan.seconds - time.monotonic())
        self._cpu = (time.process_time() - used) / self._plan.seconds
