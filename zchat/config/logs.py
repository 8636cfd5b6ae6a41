"""Five loggers, and one line of text for each thing they say.

    zchat.access    who connected from where, and how it ended
    zchat.session   one client's conversation
    zchat.cluster   links between servers, rooms, ring
    zchat.app       the application: handlers that failed, and what it logs itself
    zchat.admin     start, stop, configuration

A line is `time level server logger message`, the time in UTC so that the lines of several machines
can be sorted together:

    2025-01-31T11:00:00.123Z WARNING chat-server-1 zchat.cluster: lost connector-server-2

Whatever came from a client may stand in a message, so line breaks and control characters are
escaped: one line is always one event. Tracebacks keep their lines, each indented behind a bar.
"""

from __future__ import annotations

import logging
import re
import time
from typing import IO

ACCESS = "zchat.access"
SESSION = "zchat.session"
CLUSTER = "zchat.cluster"
APP = "zchat.app"
ADMIN = "zchat.admin"

MASK = "***"

_SECRET = re.compile(
    r"""(?ix)
    (?P<name> [\w-]* (?: password | passwd | secret | token | authorization | cookie | api[_-]?key )
              [\w-]* ["']? \s* [:=] \s* )
    (?: (?P<quote> ["'] ) (?: \\. | (?! (?P=quote) ) [^\\] )* (?P=quote)?
      | (?: (?: bearer | basic ) \s+ )? [^\s,;&)}\]"']+ )
    """
)
# Everything that starts a line somewhere (str.splitlines), moves a terminal's cursor, or turns the
# direction of the text.
_UNPRINTABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def setup(level: str, server_id: str, stream: IO[str]) -> None:
    """Send all logs of this process to a stream; called again, it replaces what was set before.

    Args:
        level: the least severe level for zchat's own loggers; all others speak from warning up.
        server_id: stands in every line.
        stream: where lines are written, each flushed at once.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(server_id))
    root = logging.getLogger()
    for previous in root.handlers[:]:
        if isinstance(previous.formatter, LineFormatter):
            root.removeHandler(previous)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("zchat").setLevel(level.upper())
    logging.captureWarnings(True)


def mask(text: str) -> str:
    """The text with the values of whatever is called a password, token or the like hidden."""
    return _SECRET.sub(lambda found: found["name"] + MASK, text)


class LineFormatter(logging.Formatter):
    """Makes the line. Secrets are masked here and not in a filter, so in tracebacks too."""

    def __init__(self, server_id: str) -> None:
        super().__init__()
        self.server_id = server_id

    def format(self, record: logging.LogRecord) -> str:
        """One line, and behind it the traceback when there is one."""
        line = (
            f"{self.formatTime(record)} {record.levelname} {self.server_id} {record.name}: "
            + _UNPRINTABLE.sub(_escape, record.getMessage())
        )
        more = ""
        if record.exc_info:
            more = self.formatException(record.exc_info)
        if record.stack_info:
            more += ("\n" if more else "") + self.formatStack(record.stack_info)
        return mask("\n".join([line, *map(_behind_bar, more.splitlines())]))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """ISO 8601 in UTC with milliseconds."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{seconds}.{int(record.msecs):03d}Z"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _behind_bar(line: str) -> str:
    return "  | " + _UNPRINTABLE.sub(_escape, line)
