"""Golden bytes made by the original JavaScript: `tests/vectors/pomelo.json`.

A byte string in a case is `{"hex": ...}`, `{"rle": [[hex, count], ...]}` or null; a case's own
bytes are `hex` or `hex_rle`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

Case = dict[str, Any]

_FOLDER = Path(__file__).parent.parent / "vectors"


@cache
def _all_cases() -> list[Case]:
    cases: list[Case] = json.loads((_FOLDER / "pomelo.json").read_text())["cases"]
    return cases


@cache
def _transcripts() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((_FOLDER / "transcripts.json").read_text())
    return recorded


@cache
def _scenarios() -> dict[str, list[Case]]:
    return {scenario["name"]: scenario["frames"] for scenario in _transcripts()["scenarios"]}


def apps() -> dict[str, Any]:
    """The applications that the recorded conversations were held with."""
    told: dict[str, Any] = _transcripts()["about"]["apps"]
    return told


def cases(layer: str, *ops: str) -> list[Case]:
    """The cases of a layer with one of these ops; at least one per op."""
    found = [case for case in _all_cases() if case["layer"] == layer and case["op"] in ops]
    assert {case["op"] for case in found} == set(ops)
    return found


def identity(case: Case) -> str:
    """Names a case in pytest's output."""
    name: str = case["id"]
    return name


def scenarios() -> tuple[str, ...]:
    """The names of the recorded conversations."""
    return tuple(_scenarios())


def frames(scenario: str) -> list[Case]:
    """What was exchanged in one recorded conversation."""
    return _scenarios()[scenario]


def octets(value: dict[str, Any] | None) -> bytes:
    """A byte string from inside a case; null means empty."""
    if value is None:
        return b""
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    return _expand(value["rle"])


def case_bytes(case: Case) -> bytes:
    """The bytes that a case is about."""
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    return _expand(case["hex_rle"])


def _expand(runs: list[tuple[str, int]]) -> bytes:
    return b"".join(bytes.fromhex(unit) * count for unit, count in runs)
