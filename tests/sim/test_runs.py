"""Seeded runs of the whole chat: what must hold, and that the judge would see it if it did not.

Runs are made in processes of their own, because the clock is replaced in all of them, and hashing
must be the same in all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.soak import rounds
from tests.support.sources import ROOT

SEEDS = rounds(200, soak=2000)
"""How many are run."""

REGRESSIONS = {
    6: "the journal failed while a client recovered, which got an internal error",
    7: "a repeat that came while the journal's end was in doubt was published twice",
    92: "a frontend was repaired past the place at which the owner let a member in",
    162: "a member that went while a claim that was given up was under way stayed for good",
    194: "a leave that its frontend could not be told of was undone by the next announce",
    290: "an owner that did not know the ring yet left out what was announced to it",
    405: "a frontend that its owner had given up did not announce its members again",
    447: "a loss that was told into a dying link was lost with it",
}
"""Seeds that failed once, and what that was. What a seed does changes with the code: each of these
has a test of its own beside the part that was mended."""


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.sim", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(3 * SEEDS)
def test_nothing_is_lost_doubled_or_swapped() -> None:
    half = SEEDS // 2
    with ThreadPoolExecutor(2) as both:
        runs = both.map(
            lambda first: simulate(str(first), "--count", str(half), "--failures", "3"),
            (1, 1 + half),
        )
    for run in runs:
        assert run.returncode == 0, run.stdout[-20_000:] + run.stderr


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_what_failed_once(seed: int) -> None:
    run = simulate(str(seed))
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr


def test_one_seed_gives_one_run() -> None:
    runs = [simulate("3", "--timeline").stdout for _ in range(2)]
    together = simulate("2", "--count", "2", "--timeline").stdout
    timelines = [_timeline(run) for run in (*runs, together)]
    assert len(timelines[0]) > 500
    assert timelines[0] == timelines[1]
    assert timelines[2][-len(timelines[0]) :] == timelines[0]


def _timeline(text: str) -> list[str]:
    """The lines that begin with a moment."""
    return [line for line in text.splitlines() if line[:9].strip().replace(".", "").isdigit()]


BROKEN = {
    "no-fence": ("one place, two publications", ["ring=0.05", "hold=0.2", "pause=0.06"]),
    "no-announce": ("presence has not settled", []),
    "no-repair": ("acknowledged but not received", ["dropping=0.1"]),
    "no-repeats": ("one publication, two places", ["kill_worker=0.01"]),
    "repeats-of-this-life": ("one publication, two places", ["kill_worker=0.01"]),
    "live-too-early": ("again on one connection", ["drop=0.05"]),
    "early-ack": ("acknowledged but not in the journal", ["kill_worker=0.01"]),
    "immortal-members": ("who is not there", ["away=0.02"]),
    "forgetful-client": ("acknowledged but not received", ["drop=0.05"]),
}
"""Rule that is broken -> what is found, and in which weather."""


ROUGH = ["--careless", "--weather", "cut=0.15", "drop=0.05"]
"""An application that is slow and repeats nothing, and links that break all the time."""


def test_an_application_that_repeats_no_call_loses_nothing() -> None:
    run = simulate("1", "--count", str(SEEDS // 5), "--failures", "3", *ROUGH)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr


@pytest.mark.parametrize(
    ("rule", "finding"),
    [
        ("deaf-members", "acknowledged but not received"),
        ("refused-members", "who is there"),
    ],
)
def test_a_rule_that_only_such_an_application_needs_is_found(rule: str, finding: str) -> None:
    assert _found(finding, ["--broken", rule, *ROUGH])


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_found(rule: str) -> None:
    finding, weather = BROKEN[rule]
    assert _found(finding, ["--broken", rule, "--weather", *weather])


def _found(finding: str, arguments: Sequence[str]) -> bool:
    run = simulate("1", "--count", "60", "--failures", "4", *arguments)
    assert run.returncode == 1, run.stdout[-5000:] + run.stderr
    return finding in run.stdout
