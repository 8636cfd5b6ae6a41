"""The form of a log line."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator

import pytest

from zchat.config import logs
from zchat.config.logs import LineFormatter, mask, setup


@pytest.fixture
def stream(caplog: pytest.LogCaptureFixture) -> Iterator[io.StringIO]:
    """A stream to log to; what `setup` changes in this process is put back."""
    root, ours = logging.getLogger(), logging.getLogger("zchat")
    levels = root.level, ours.level
    yield io.StringIO()
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, LineFormatter):
            root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_line_has_time_level_server_logger_and_message(stream: io.StringIO) -> None:
    setup("info", "chat-server-1", stream)
    logging.getLogger(logs.CLUSTER).warning("lost %s", "connector-server-2")
    (line,) = lines(stream)
    time, _, rest = line.partition(" ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert rest == "WARNING chat-server-1 zchat.cluster: lost connector-server-2"


def test_the_time_is_utc_with_milliseconds() -> None:
    record = logging.makeLogRecord({"created": 1738321200.0625, "msecs": 62.5})
    assert LineFormatter("x").formatTime(record) == "2025-01-31T11:00:00.062Z"


def test_the_level_holds_for_ours_and_others_speak_from_warning_up(stream: io.StringIO) -> None:
    setup("debug", "s", stream)
    for name in (logs.ACCESS, logs.SESSION, logs.CLUSTER, logs.APP, logs.ADMIN):
        logging.getLogger(name).debug("detail")
    logging.getLogger("tornado.access").info("no")
    logging.getLogger("asyncio").warning("yes")
    assert [line.split(" ", 3)[3] for line in lines(stream)] == [
        "zchat.access: detail",
        "zchat.session: detail",
        "zchat.cluster: detail",
        "zchat.app: detail",
        "zchat.admin: detail",
        "asyncio: yes",
    ]


def test_setting_up_again_replaces(stream: io.StringIO) -> None:
    setup("info", "first", io.StringIO())
    setup("warning", "second", stream)
    logging.getLogger(logs.APP).info("no")
    logging.getLogger(logs.APP).error("yes")
    assert [line.split(" ", 1)[1] for line in lines(stream)] == ["ERROR second zchat.app: yes"]


def test_python_warnings_are_logged(stream: io.StringIO) -> None:
    setup("info", "s", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old ways", stacklevel=1)
    assert "WARNING s py.warnings: " in stream.getvalue()
    assert "old ways" in stream.getvalue()


@pytest.mark.parametrize("evil", ["\n", "\r", "\x1b[2J", "\x00", "\x85", "\u2028", "\u202e"])
def test_what_a_client_sent_cannot_make_a_line_of_its_own(stream: io.StringIO, evil: str) -> None:
    setup("info", "s", stream)
    logging.getLogger(logs.APP).error("name %s", f"a{evil}2025-01-31T11:00:00.000Z ERROR")
    assert len(lines(stream)) == 1
    assert evil not in stream.getvalue().removesuffix("\n")


def test_letters_of_any_script_stay_as_they_are(stream: io.StringIO) -> None:
    setup("info", "s", stream)
    logging.getLogger(logs.APP).error("%s", "Łukasz 张伟 😀\tend")
    assert lines(stream)[0].endswith(": Łukasz 张伟 😀\tend")


def test_a_traceback_stays_readable(stream: io.StringIO) -> None:
    setup("info", "s", stream)
    try:
        raise ValueError("first\nZ ERROR forged")
    except ValueError:
        logging.getLogger(logs.APP).exception("handler failed", stack_info=True)
    first, *rest = lines(stream)
    assert first.endswith("ERROR s zchat.app: handler failed")
    assert rest[0] == "  | Traceback (most recent call last):"
    assert "  | ValueError: first" in rest
    assert "  | Z ERROR forged" in rest
    assert "  | Stack (most recent call last):" in rest
    assert all(line.startswith("  | ") for line in rest)


def test_secrets_in_tracebacks_are_masked(stream: io.StringIO) -> None:
    setup("info", "s", stream)
    try:
        raise ValueError("resume_token=abc123 refused")
    except ValueError:
        logging.getLogger(logs.APP).exception("password: hunter2")
    assert "abc123" not in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert "ValueError: resume_token=*** refused" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter2 next", "password=*** next"),
        ('{"password": "hun\\"ter2", "a": 1}', '{"password": ***, "a": 1}'),
        ("{'resumeToken': 'abc', 'b': 2}", "{'resumeToken': ***, 'b': 2}"),
        ("Authorization: Bearer a.b.c", "Authorization: ***"),
        ("secret_key = 'Z85$.[k'", "secret_key = ***"),
        ("curve_secret = 'Z85$.[k' end", "curve_secret = *** end"),
        ("GET /?token=abc&room=1", "GET /?token=***&room=1"),
        ("api-key: k", "api-key: ***"),
        ("apikey: k; api_key: l", "apikey: ***; api_key: ***"),
        ("the token was refused", "the token was refused"),
        ("token:", "token:"),
        ('password="open', "password=***"),
    ],
)
def test_mask(text: str, masked: str) -> None:
    assert mask(text) == masked
