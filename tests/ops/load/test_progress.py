"""The line that shows how far a load is."""

from __future__ import annotations

import io

from zchat.ops.load.crowd import Progress
from zchat.ops.load.plan import Plan
from zchat.ops.load.progress import ProgressBar, line

PLAN = Plan("b", people=10, rooms=1, rate=1.0, seconds=8.0, warmup=2.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_people_come_in() -> None:
    assert line(PLAN, Progress(entered=5), 0.0).endswith("  50% 5 of 10 are in")


def test_messages_are_sent() -> None:
    progress = Progress(entered=10, sent=25, answered=20, received=180, owed=200, gone=1)
    text = line(PLAN, progress, 1234.5)
    assert " 25% 25 of 100 messages, 1,234 deliveries/s, 20 on their way, 1 thrown out" in text


def test_it_is_written_over() -> None:
    out, times = Terminal(), iter([0.0, 2.0, 3.0])
    bar = ProgressBar(PLAN, out, lambda: next(times))
    bar.show(Progress(entered=10, sent=10, received=100, owed=100))
    bar.show(Progress(entered=10, sent=20, received=200, owed=200))
    bar.end()
    written = out.getvalue()
    assert "50 deliveries/s" in written
    assert "100 deliveries/s" in written
    assert "\n" not in written
    assert written.endswith("\r\x1b[K")


def test_nobody_looks() -> None:
    out = io.StringIO()
    bar = ProgressBar(PLAN, out)
    bar.show(Progress())
    bar.end()
    assert out.getvalue() == ""
