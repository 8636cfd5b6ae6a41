"""How often what befalls a run, and how its network and journal are."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Weather:
    """How often what happens, relative to `talk`; and how the journal and the network are."""

    talk: float = 1.0
    whisper: float = 0.2
    move: float = 0.02
    drop: float = 0.0
    away: float = 0.0
    stall: float = 0.0
    kill_worker: float = 0.0
    kill_connector: float = 0.0
    stop: float = 0.0
    pause: float = 0.0
    cut: float = 0.0
    hold: float = 0.0
    ring: float = 0.0
    disk: float = 0.0
    dropping: float = 0.0
    history: float = 1000

    @classmethod
    def of(cls, random: Random) -> Weather:
        """A mixture: each fault is absent, rare or frequent."""

        def some(rate: float) -> float:
            return rate * random.choice((0.0, 0.3, 1.0))

        return cls(
            drop=some(0.05),
            away=some(0.01),
            stall=some(0.03),
            kill_worker=some(0.006),
            kill_connector=some(0.005),
            stop=some(0.003),
            pause=some(0.006),
            cut=some(0.015),
            hold=some(0.02),
            ring=some(0.006),
            disk=some(0.006),
            dropping=random.choice((0.0, 0.01, 0.1)),
            history=random.choice((1000, 1000, 1000, 40)),
        )
