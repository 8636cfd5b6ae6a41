from __future__ import annotations

import pytest

from zchat.errors import ProtocolError
from zchat.protocol.misfit import Misfit, shown


@pytest.mark.parametrize(
    ("places", "path"),
    [
        ([], ""),
        (["x"], "x"),
        (["x", "p"], "p.x"),
        (["[2]", "path"], "path[2]"),
        (["x", "[2]", "path", "r"], "r.path[2].x"),
    ],
)
def test_the_path_grows_outwards(places: list[str], path: str) -> None:
    misfit = Misfit("expected a number")
    for place in places:
        misfit = misfit.within(place)
    assert (misfit.path, misfit.problem) == (path, "expected a number")
    assert str(misfit) == (f"{path}: expected a number" if path else "expected a number")


def test_it_is_the_callers_fault_and_breaks_the_wire() -> None:
    assert isinstance(Misfit("x"), ValueError)
    assert isinstance(Misfit("x"), ProtocolError)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("7x", "'7x'"),
        (2**200, "one of 201 bits"),
        ("x" * 100, f"'{'x' * 36}..."),
    ],
)
def test_a_value_is_shown_in_few_words(value: object, words: str) -> None:
    assert shown(value) == words
