"""What the code logged during a test: a warning that no test asked for is a failure."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WATCHED = ("zchat", "asyncio", "tornado.application")
"""zchat's own loggers, and those that tell of exceptions nobody caught."""

TESTS = str(Path(__file__).parents[1])


class ExpectedLogs(logging.Handler):
    """Holds records of level WARNING and above against what the test said would come.

    Call the object to expect a record; it may come before or after the call:

        def test_broken_file(expected_logs):
            expected_logs("zchat.admin", "line 3: not a port")
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self._expected: list[tuple[str, str]] = []

    def __call__(self, logger: str, pattern: str) -> None:
        """Expect at least one record of `logger` (or one below it) whose text `pattern` finds."""
        self._expected.append((logger, pattern))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record, unless a test wrote it, as those of the log's format do."""
        if not record.pathname.startswith(TESTS):
            self.records.append(record)

    def problems(self) -> list[str]:
        """Records that nobody expected, and expectations that no record met."""
        unmet = [
            f"expected a record of {logger} that matches {pattern!r}; none came"
            for logger, pattern in self._expected
            if not any(_meets(record, logger, pattern) for record in self.records)
        ]
        unexpected = [
            f"unexpected: {record.levelname} {record.name}: {record.getMessage()}"
            for record in self.records
            if not any(_meets(record, *expected) for expected in self._expected)
        ]
        return unmet + unexpected

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the watched loggers."""
        for name in WATCHED:
            logging.getLogger(name).addHandler(self)
        try:
            yield
        finally:
            for name in WATCHED:
                logging.getLogger(name).removeHandler(self)


def _meets(record: logging.LogRecord, logger: str, pattern: str) -> bool:
    below = record.name == logger or record.name.startswith(f"{logger}.")
    return below and re.search(pattern, record.getMessage()) is not None
