"""One run: people who talk, and what befalls them and their servers, all decided by a seed."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.sim import clock
from tests.sim.cluster import QUICK, Cluster
from tests.sim.journal import DiskError, SharedJournal, Trouble
from tests.sim.loop import START, VirtualLoop
from tests.sim.network import Link, Network
from tests.sim.person import Person
from tests.sim.timeline import Timeline
from tests.sim.weather import Weather
from zchat.protocol.dictionary import RouteDictionary
from zchat.testing.checker import check
from zchat.testing.events import Event, Fault, Journalled
from zchat.testing.verdict import Verdict

ROOMS = ("attic", "bar", "cellar")
NAMES = ("ann", "bob", "cat", "dan", "eve", "fay")
SERVERS = ("chat-1", "chat-2", "connector-1", "connector-2")
SPARE = "chat-3"
"""A worker that comes to servers.json and goes."""

_PACE = 0.012
"""Seconds between two things that the story does, on average."""

_PATIENCE = 30.0
"""Seconds of quiet in which everything must have come to rest."""


@dataclass(slots=True)
class Run:
    """What came of it."""

    seed: int
    events: int
    fixed: Mapping[str, float]
    verdict: Verdict
    complaints: list[str]
    timeline: Timeline
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict.ok and not self.complaints

    def excuse(self, known: Sequence[str]) -> int:
        """Leave out complaints with any of these words; returns how many."""
        news = [text for text in self.complaints if not any(words in text for words in known)]
        excused = len(self.complaints) - len(news)
        self.complaints = news
        return excused


class Story:
    """A run being made.

    Args:
        seed: decides everything.
        events: what happens until the storm ends.
        fixed: parts of the weather that the seed does not choose.
    """

    def __init__(self, seed: int, events: int, fixed: Mapping[str, float] | None = None) -> None:
        self.seed = seed
        self.random = Random(seed)
        self._fixed = fixed or {}
        self.weather = replace(Weather.of(self.random), **self._fixed)
        self._target = events
        self.loop = VirtualLoop(self._failed)
        self.timeline = Timeline(self.loop)
        clock.begin(self.loop, Random(seed + 1))
        self.network = Network(self.loop, self.random, self.timeline)
        self.journal = SharedJournal(
            self.random, int(self.weather.history), lambda text: self.timeline.add("journal", text)
        )
        self.cluster = Cluster(self.loop, self.random, self.network, self.journal, self.timeline)
        self.events: list[Event] = []
        self.complaints: list[str] = []
        dictionary = RouteDictionary([], ())
        self.people = [
            Person(
                name,
                self.random.choice(ROOMS),
                self.network,
                self.random,
                lambda: self.cluster.of_type("connector"),
                dictionary,
                self.events.append,
            )
            for name in NAMES
        ]
        self._storm = True
        self._done = False
        self._quiet_since = 0.0
        self._deeds, self._weights = self._choices()

    def run(self) -> Run:
        """Make it and judge it."""
        self.timeline.add("story", f"{self.weather}")
        self.cluster.list_servers(SERVERS)
        with _listening(self._logged):
            for server in SERVERS:
                self.cluster.start(server)
            for person in self.people:
                self.loop.call_later(self.random.random(), person.connect)
            self.loop.call_later(1.5, self._act)
            self.loop.run(lambda: self._done)
        self.cluster.finish()
        return self._judge()

    # The storm

    def _choices(self) -> tuple[list[Callable[[], None]], list[float]]:
        weather = self.weather
        deeds: dict[Callable[[], None], float] = {
            self._talk: weather.talk,
            self._whisper: weather.whisper,
            self._move: weather.move,
            self._drop: weather.drop,
            self._go_away: weather.away,
            self._stall: weather.stall,
            self._kill_worker: weather.kill_worker,
            self._kill_connector: weather.kill_connector,
            self._stop: weather.stop,
            self._pause: weather.pause,
            self._cut: weather.cut,
            self._hold: weather.hold,
            self._change_ring: weather.ring,
            self._break_disk: weather.disk,
        }
        self.network.dropping = weather.dropping
        return list(deeds), list(deeds.values())

    @property
    def happened(self) -> int:
        """Events so far: what came through the network, and what the journal and people did."""
        return self.network.events + self.journal.calls + len(self.events)

    def _act(self) -> None:
        if self.happened >= self._target:
            self._calm()
            return
        self.random.choices(self._deeds, self._weights)[0]()
        self.loop.call_later(2 * _PACE * self.random.random(), self._act)

    def _person(self) -> Person:
        return self.random.choice(self.people)

    def _talk(self) -> None:
        person = self._person()
        if len(person.unsent) < 20 and not person.away:
            person.say()

    def _whisper(self) -> None:
        person = self._person()
        others = [name for name in person.people if name != person.name]
        if others and person.inside:
            person.say(self.random.choice(others))

    def _move(self) -> None:
        self._person().move(self.random.choice(ROOMS))

    def _drop(self) -> None:
        self._fault("drop", person := self._person())
        person.drop(self.random.choice((0.0, 0.2, 5.0)))

    def _go_away(self) -> None:
        person = self._person()
        if not person.away:
            self._fault("away", person)
            person.go_away()
            self.loop.call_later(6 * self.random.random(), self._come_back, person)

    def _come_back(self, person: Person) -> None:
        if self._storm:  # else it stays away for good
            person.come_back()

    def _stall(self) -> None:
        self._fault("stall", person := self._person())
        person.stall(2.0 * self.random.random())

    def _kill_worker(self) -> None:
        self._kill("chat")

    def _kill_connector(self) -> None:
        self._kill("connector")

    def _kill(self, server_type: str) -> None:
        alive = self.cluster.of_type(server_type)
        if alive:
            server = self.random.choice(alive)
            self._fault("kill", server)
            self.cluster.kill(server, 0.1 + 1.4 * self.random.random())

    def _stop(self) -> None:
        alive = self.cluster.of_type("")
        if alive:
            server = self.random.choice(alive)
            self._fault("stop", server)
            self.cluster.stop(server, 0.1 + self.random.random())

    def _pause(self) -> None:
        alive = self.cluster.of_type("")
        if alive:
            server = self.random.choice(alive)
            self._fault("pause", server)
            self.cluster.pause(server, 2.5 * self.random.random())

    def _links(self) -> list[Link]:
        return [link for link in self.network.links if link.client.process is not None]

    def _cut(self) -> None:
        links = self._links()
        if links:
            link = self.random.choice(links)
            self._fault("cut", link)
            self.timeline.add("story", f"the link of {link} breaks")
            self.network.cut(link, self.random.choice((0.0, 0.3, 2.0)))

    def _hold(self) -> None:
        links = self._links()
        if links:
            link = self.random.choice(links)
            seconds = 2.5 * self.random.random() ** 2
            self._fault("hold", link)
            self.timeline.add("story", f"the link of {link} holds up for {seconds:.2f} s")
            link.stalled = self.loop.now + seconds

    def _change_ring(self) -> None:
        self._fault("servers.json", SPARE)
        if self.cluster.is_listed(SPARE):
            self.timeline.add("story", f"{SPARE} goes from servers.json")
            self.cluster.list_servers(removed=[SPARE])
            self.loop.call_later(self.random.random(), self._retire)
        else:
            self.timeline.add("story", f"{SPARE} comes to servers.json")
            self.cluster.list_servers(added=[SPARE])
            self.loop.call_later(self.random.random(), self.cluster.start, SPARE)

    def _retire(self) -> None:
        if not self.cluster.is_listed(SPARE):
            self.cluster.stop(SPARE, None)

    def _break_disk(self) -> None:
        self._fault("disk", "journal")
        self.timeline.add("journal", "is in trouble")
        chance = self.random.random
        self.journal.trouble = Trouble(1 + 30 * chance() ** 2, 0.5 * chance(), 0.5 * chance())
        self.loop.call_later(0.1 + chance(), self._mend_disk)

    def _mend_disk(self) -> None:
        self.journal.trouble = Trouble()

    def _fault(self, kind: str, what: object) -> None:
        self.events.append(Fault(self._now, kind, str(what)))

    # The calm after it

    def _calm(self) -> None:
        self._storm = False
        self._fault("calm", "all is well again")
        self.timeline.add("story", "the storm is over")
        self.network.heal()
        self._mend_disk()
        self._quiet_since = self.loop.now
        self._wait()

    def _wait(self) -> None:
        self._see_to_servers()
        grace = QUICK.rooms.grace
        quiet = self.loop.now - self._quiet_since
        if all(person.settled for person in self.people) and quiet > 4.0:
            self.timeline.add("story", "all is said")
            self.loop.call_later(3 * grace, self._end)
        elif quiet > _PATIENCE:
            for person in self.people:
                if not person.settled:
                    self.complaints.append(f"{person.name} has not come to rest: {person.state}")
            self._done = True
        else:
            self.loop.call_later(0.1, self._wait)

    def _see_to_servers(self) -> None:
        """As supervisord does: who is listed runs, who is not listed does not."""
        if not self.cluster.is_listed(SPARE) and SPARE in self.cluster.lives:
            self.cluster.stop(SPARE, None)

    def _end(self) -> None:
        for person in self.people:
            if not person.away:
                person.look()
        self._done = True

    # Judging it

    def _judge(self) -> Run:
        journal = list(self._journalled())
        counts = self._counts()
        verdict = check(self.events, journal, grace=QUICK.rooms.grace)
        if self.weather.history >= 1000:
            for what in ("holes_told", "not_recovered"):
                if verdict.counts.get(what):
                    self.complaints.append(f"{what}: {verdict.counts[what]}, and nothing was lost")
        for person in self.people:
            self.complaints += person.complaints
            for what, number in person.refused.items():
                counts[f"refused: {what}"] += number
        return Run(
            self.seed, self._target, self._fixed, verdict, self.complaints, self.timeline, counts
        )

    def _counts(self) -> Counter[str]:
        counts = Counter(self.cluster.counts)
        counts["events"] = self.happened
        counts["timers"] = self.loop.timers
        counts["steps"] = self.loop.steps
        counts["seconds"] = int(self.loop.now - START)
        counts["fenced"] = self.journal.fenced
        counts["refused_appends"] = self.journal.refused
        counts["dropped_frames"] = self.network.dropped
        return counts

    def _journalled(self) -> Iterator[Journalled]:
        for room, log in self.journal.logs.items():
            for publication in log.publications:
                yield Journalled(
                    room,
                    log.epoch,
                    publication.offset,
                    publication.cid,
                    publication.uid,
                    publication.audience,
                )

    @property
    def _now(self) -> float:
        return self.loop.now - START

    def _failed(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        work = context.get("future", "")
        name = work.get_name() if isinstance(work, asyncio.Task) else ""
        text = f"{context['message']}: {name} {error!r}"
        self.timeline.add("loop", text)
        self.complaints.append(text)

    def _logged(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            text += f" ({error!r})"
        self.timeline.add("log", f"{record.levelname} {text}")
        if record.levelno >= logging.ERROR and not _by_disk(error):
            self.complaints.append(f"logged: {text}")


def _by_disk(error: BaseException | None) -> bool:
    """Whether this is what the simulated disk said: that belongs into the log."""
    return isinstance(error, DiskError) or (error is not None and _by_disk(error.__cause__))


class _listening:  # noqa: N801 (a context manager)
    """zchat's log goes to the story while it runs."""

    def __init__(self, heard: Callable[[logging.LogRecord], None]) -> None:
        self._handler = _Handler(heard)
        self._logger = logging.getLogger("zchat")

    def __enter__(self) -> None:
        self._logger.addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)


class _Handler(logging.Handler):
    def __init__(self, heard: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.INFO)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard(record)
