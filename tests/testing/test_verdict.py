"""How a verdict reads."""

from __future__ import annotations

from zchat.testing.verdict import Kind, Minimums, Problem, Verdict, too_few


def test_problems_first_then_the_counts() -> None:
    problem = Problem(Kind.TWICE, "r bob is shown e:1", timeline=("  1.000  r  bob leaves",))
    verdict = Verdict([problem], {"acks": 7, "problems": 3})
    assert not verdict.ok
    assert verdict.kinds() == {Kind.TWICE}
    assert str(verdict) == (
        "received twice: r bob is shown e:1\n"
        "      1.000  r  bob leaves\n"
        "\n"
        "... and 2 more\n"
        "\n"
        "acks      7\n"
        "problems  3"
    )


def test_nothing_wrong() -> None:
    verdict = Verdict([], {"acks": 7})
    assert verdict.ok
    assert str(verdict) == "acks  7"


def test_too_few() -> None:
    minimums = Minimums(acks=10, owner_changes=1)
    assert too_few({"acks": 10, "owner_changes": 1}, minimums) == []
    texts = [problem.text for problem in too_few({"acks": 9}, minimums)]
    assert texts == [
        "9 acks; at least 10 are needed",
        "0 owner changes; at least 1 are needed",
    ]
