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


@dataclass(frozen=True, slots=True)
class Work:
    """A load: people in rooms, of whom some talk."""

    people: int
    rooms: int
    talkers: int
    """Per room."""
    rate: float
    """Messages per second, all rooms together."""
    seconds: float = 3.0
    payload: int = 64

    def arguments(self) -> list[str]:
        """The load generator's words for it."""
        return [
            *("-n", str(self.people), "-m", str(self.rooms), "-p", str(self.talkers)),
            *("-b", str(self.payload), "-d", str(self.seconds), "-w", "1"),
            # 200 us between looks: the server is not charged for waking the generator.
            *("--rate", str(self.rate), "--poll-us", "200"),
        ]


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
        ended = subprocess.run([PROGRAM, *words], capture_output=True, text=True)
        text = Path(result.name).read_text()
    if not text:
        raise RuntimeError(f"{contender.name}: {ended.stdout}{ended.stderr}")
    measured: dict[str, Any] = json.loads(text)
    return measured
