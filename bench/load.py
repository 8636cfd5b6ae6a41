"""Runs the load generator against a contender and reads what it measured."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contenders import ROOT, Contender

FOLDER = ROOT / "bench" / "loadgen"
PROGRAM = FOLDER / "loadgen"
_MARGIN = 20.0
"""Seconds beyond those of its phases after which the load generator is stopped."""


@dataclass(frozen=True, slots=True)
class Work:
    """A load: people in rooms, of whom some talk.

    With a `rate` they talk at given times, whatever the server does; with a `window` each says the
    next as soon as all have heard an earlier one; with neither they are only there.
    """

    people: int
    rooms: int
    talkers: int
    """Per room."""
    rate: float = 0.0
    """Messages per second, all rooms together."""
    seconds: float = 3.0
    payload: int = 64
    window: int = 0
    """Messages of one talker that are on their way at once."""
    warmup: float = 1.0
    """Seconds of load that are not measured."""
    poll: int = 200
    """Microseconds that the generator sleeps between looks: the server is not charged for waking
    it. 0: it waits for what comes, as clients do, and latencies are true to a few microseconds."""
    entry: float = 100.0
    """Seconds in which everybody must have come in."""
    drain: float = 15.0
    """Seconds in which what was sent must have arrived."""

    @property
    def fan(self) -> float:
        """Deliveries of one message."""
        return self.people / self.rooms

    def arguments(self) -> list[str]:
        """The load generator's words for it."""
        talkers = self.talkers if self.rate or self.window else 0
        words = [
            *("-n", self.people, "-m", self.rooms, "-p", talkers),
            *("-b", self.payload, "-d", self.seconds, "-w", self.warmup),
            *(
                "--settle",
                0.3,
                "--connect-timeout",
                self.entry,
                "--drain",
                self.drain,
                "--poll-us",
                self.poll,
            ),
        ]
        if self.window:
            words += ["--window", self.window]
        else:
            words += ["--rate", self.rate] if self.rate else ["--idle"]
        return [str(word) for word in words]

    @property
    def longest(self) -> float:
        """Seconds after which something is wrong with the generator itself."""
        return self.entry + self.warmup + self.seconds + self.drain + _MARGIN


def build() -> None:
    """Compile the load generator where it is not compiled yet; needs make and a C compiler."""
    subprocess.run(["make", "-s", "-C", FOLDER], check=True)


def measure(contender: Contender, work: Work) -> dict[str, Any]:
    """What the generator says after one run, as its JSON.

    Raises:
        RuntimeError: it gave no result; the text has its output.
    """
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        pids = ",".join(map(str, contender.pids))
        words = [*contender.arguments(), *work.arguments(), "--pid", pids, "--json", result.name]
        try:
            ended = subprocess.run(
                [PROGRAM, *words], capture_output=True, text=True, timeout=work.longest
            )
        except subprocess.TimeoutExpired as stopped:
            raise RuntimeError(f"{contender.name}: no end after {stopped.timeout:.0f} s") from None
        text = Path(result.name).read_text()
    if not text:
        raise RuntimeError(f"{contender.name}: {ended.stdout}{ended.stderr}")
    measured: dict[str, Any] = json.loads(text)
    return measured
