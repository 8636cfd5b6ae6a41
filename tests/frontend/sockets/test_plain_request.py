"""What is read at one go, and what is left to Tornado."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, parse_request_start_line

from zchat.frontend.sockets.plain_request import read_request

USUAL = b"GET /chat?a=1 HTTP/1.1\r\nHost: chat.example\r\nUPGRADE:websocket \r\nX-Empty:\r\n\r\n"


def test_the_usual_request() -> None:
    request = read_request(USUAL + b"\x82\x80")
    assert request is not None
    assert request.line == ("GET", "/chat?a=1", "HTTP/1.1")
    assert request.headers == {"host": "chat.example", "upgrade": "websocket", "x-empty": ""}
    assert request.early == b"\x82\x80"


def test_a_request_without_headers() -> None:
    request = read_request(b"GET / HTTP/1.1\r\n\r\n")
    assert request is not None
    assert (request.headers, request.early) == ({}, b"")


@pytest.mark.parametrize("length", range(len(USUAL)))
def test_a_request_that_is_not_all_there(length: int) -> None:
    assert read_request(USUAL[:length]) is None


@pytest.mark.parametrize(
    "data",
    [
        USUAL.replace(b"GET", b"POST"),
        USUAL.replace(b"HTTP/1.1", b"HTTP/1.0"),
        USUAL.replace(b"/chat", b"http://chat.example/chat"),
        USUAL.replace(b"?a=1", b"?a= 1"),
        USUAL.replace(b"X-Empty", b"Host"),
        USUAL.replace(b"X-Empty", b"host"),
        USUAL.replace(b"X-Empty:", b" folded"),
        USUAL.replace(b"X-Empty", b"X Empty"),
        USUAL.replace(b"X-Empty:", b":"),
        USUAL.replace(b"X-Empty:", b"X-Empty"),
        USUAL.replace(b"X-Empty:", b"X-Empty:\0"),
        USUAL.replace(b"X-Empty:", b"X-Empty:\r"),
        USUAL.replace(b"\r\n", b"\n"),
        USUAL.replace(b"X-Empty:", b"X-Empty:" + b"x" * 8192),
        b"\r\n" + USUAL,
        b"",
    ],
)
def test_what_is_left_to_tornado(data: bytes) -> None:
    assert read_request(data) is None


@given(
    st.lists(
        st.sampled_from(
            [b"GET ", b"/", b" HTTP/1.1", b"\r\n", b"Host:", b" a", b"\t", b"\xff", b"\0", b":"]
        )
    ).map(b"".join)
)
@example(USUAL)
def test_it_reads_what_tornado_reads(data: bytes) -> None:
    request = read_request(data)
    if request is not None:
        head = data[: len(data) - len(request.early)].decode("latin-1")
        start, _, rest = head.partition("\r\n")
        assert parse_request_start_line(start) == request.line
        theirs = HTTPHeaders.parse(rest)
        assert {name.lower(): value for name, value in theirs.get_all()} == request.headers
