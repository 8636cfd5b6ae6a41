"""What is said of a load."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from tests.ops.load.accounts import PLAN, accounts
from zchat.ops.load.cost import Cost
from zchat.ops.load.histogram import Histogram
from zchat.ops.load.judge import judge
from zchat.ops.load.person import Refusal
from zchat.ops.load.report import Report, as_json, ms, report, table

SERVERS = [Cost("chat-server-1", "chat", 0.25, 64 << 20, 2 << 20)]


def made(found: list | None = None, servers: list[Cost] = SERVERS) -> Report:  # type: ignore[type-arg]
    found = accounts() if found is None else found
    return report("ws://h:1", PLAN, found, servers, judge(PLAN, found), compared=True)


def test_what_was_measured() -> None:
    found = made()
    assert found.sent == 6.0
    assert found.deliveries == PLAN.offered == 18.0
    assert found.delivered["p50"] == pytest.approx(2.0, rel=0.01)
    assert found.acknowledged["mean"] == found.late["p100"] == pytest.approx(1.0, rel=0.01)
    assert [(s.at, s.deliveries) for s in found.stretches] == [(0.0, 18.0), (1.0, 18.0)]
    assert found.curve[-1][0] == 100
    assert found.cpu == pytest.approx(0.25 / 18 * 1e6)
    assert (found.generators, found.limits, found.ok) == ([0.4, 0.4], [], True)


def test_for_programs() -> None:
    built = json.loads(json.dumps(as_json(made())))
    assert built["plan"]["people"] == 6
    assert built["servers"][0]["id"] == "chat-server-1"
    assert built["counts"]["problems"] == 0


def test_for_people() -> None:
    lines = table(made()).splitlines()
    text = {line.split("  ")[0]: line for line in lines}
    assert text["load"].endswith("2 rooms, 6 people, all talk, 1/s each")
    assert text["deliveries"].endswith("18/s of 18/s")
    assert "p50 2.0" in text["delivered within"]
    assert "max 2.0" in text["delivered within"]
    assert "0.25 cores" in text["server CPU"]
    assert "64 MiB, +2 MiB" in text["chat-server-1"]
    assert text["generator"].split("  ")[-1].startswith("40%, 40% of a core")
    assert text["journal"].endswith("  compared")
    assert lines[-1] == "all is well"


def test_problems_come_first() -> None:
    spoilt = accounts()
    spoilt[0].people[0].shown = b""
    found = made(spoilt)
    assert not found.ok
    assert table(found).startswith("acknowledged but not received")
    assert table(found).endswith("NOT WELL")


def test_what_was_refused_or_is_not_known() -> None:
    spoilt = accounts()
    spoilt[0].refusals = [Refusal(2, "busy"), Refusal(4, "busy"), Refusal(6, "full")]
    spoilt[0].failed, spoilt[1].unanswered, spoilt[1].unsent = 1, 2, 3
    found = made(spoilt)
    assert found.refused == {"busy": 2, "full": 1}
    assert (found.unknown, found.unsent) == (3, 3)
    shown = table(found)
    assert "refused: busy" in shown
    assert "outcome unknown" in shown
    assert "not sent" in shown


def test_servers_that_do_not_say() -> None:
    found = made(servers=[])
    assert found.cpu is None
    assert "did not say" in table(found)


def test_a_busy_generator_is_the_limit() -> None:
    busy = accounts()
    busy[1].cpu = 0.95
    (limit,) = made(busy).limits
    assert limit == "process 2 used 95% of a core; try more --processes"
    assert f"THE GENERATOR IS THE LIMIT: {limit}" in table(made(busy))


def test_a_late_generator_is_the_limit() -> None:
    late = accounts()
    histogram = Histogram()
    histogram.add(0.5)
    late[0].late = histogram.counts
    (limit,) = made(late).limits
    assert "was sent 50" in limit


def test_few_talk() -> None:
    few = replace(made(), plan=replace(PLAN, talkers=1))
    assert "1 of each room talk" in table(few)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00 ms"), (1.234, "1.23 ms"), (12.34, "12.3 ms"), (123.4, "123 ms")]
)
def test_milliseconds(value: float, text: str) -> None:
    assert ms(value) == text
