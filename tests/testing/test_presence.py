"""Who sees whom, in the end."""

from __future__ import annotations

from zchat.testing.events import PeopleSeen
from zchat.testing.presence import Presence


def texts(*looks: tuple[str, float, tuple[str, ...]]) -> list[str]:
    """The problems of a room that ann and bob came into, and cho came into and left at 10."""
    presence = Presence("r")
    for name in ("ann", "bob", "cho"):
        presence.came(name, 1.0)
    presence.went("cho", 10.0)
    for name, at, users in looks:
        presence.saw(PeopleSeen(at, name, "r", users))
    return [problem.text for problem in presence.problems(quiet=5.0, patience=2.0)]


def test_everybody_sees_who_is_there() -> None:
    assert texts(("ann", 12.0, ("ann", "bob")), ("bob", 13.0, ("bob", "ann"))) == []


def test_everybody_has_to_look_late_enough() -> None:
    assert texts(("ann", 11.5, ("ann", "bob"))) == [
        "r ann looked who is there 0.500 s too early",
        "r bob looked who is there never",
    ]


def test_what_they_see_wrong() -> None:
    assert texts(("ann", 12.0, ("ann", "cho")), ("bob", 12.0, ("ann", "bob", "bob"))) == [
        "r ann sees cho who is not there; bob not",
        "r bob sees bob twice",
    ]
