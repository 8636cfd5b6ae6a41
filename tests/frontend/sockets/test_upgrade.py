"""The upgrade's checks, without a socket."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders, RequestStartLine

from tests.frontend.wire import HEADERS
from zchat.frontend.sockets.disconnect import FORBIDDEN_ORIGIN
from zchat.frontend.sockets.upgrade import HttpError, accept, host_name, wants_upgrade

ANY = ("*",)
GET = RequestStartLine("GET", "/", "HTTP/1.1")


def headers(**changes: str | None) -> HTTPHeaders:
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return HTTPHeaders({k: v for k, v in {**HEADERS, **named}.items() if v is not None})


def status(line: RequestStartLine = GET, /, **changes: str | None) -> int:
    with pytest.raises(HttpError) as error:
        accept(line, headers(**changes), ANY)
    return error.value.status


def test_the_answer_proves_that_the_key_was_read() -> None:
    answer = accept(GET, headers(), ANY)  # key and proof are the example of RFC 6455, 1.3
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert b"Extensions" not in answer


@pytest.mark.parametrize(
    ("upgrade", "connection"),
    [("WebSocket", "upgrade"), ("h2c, websocket", "keep-alive, Upgrade")],
)
def test_words_in_lists_and_in_any_case(upgrade: str, connection: str) -> None:
    asked = headers(Upgrade=upgrade, Connection=connection)
    assert wants_upgrade(asked)
    assert accept(GET, asked, ANY)


def test_what_is_no_upgrade() -> None:
    assert not wants_upgrade(headers(Upgrade=None))
    assert not wants_upgrade(headers(Upgrade="h2c"))


def test_a_request_that_is_no_handshake() -> None:
    assert status(RequestStartLine("POST", "/", "HTTP/1.1")) == 405
    assert status(RequestStartLine("GET", "/", "HTTP/1.0")) == 400
    assert status(Connection="keep-alive") == 400
    assert status(Connection=None) == 400
    assert status(Content_Length="1") == 400
    assert status(Transfer_Encoding="chunked") == 400


@pytest.mark.parametrize("version", [None, "8", "14", "13, 8", "x"])
def test_other_versions_are_told_the_right_one(version: str | None) -> None:
    with pytest.raises(HttpError) as error:
        accept(GET, headers(Sec_WebSocket_Version=version), ANY)
    assert error.value.status == 426
    assert error.value.headers == {"Sec-WebSocket-Version": "13"}


@pytest.mark.parametrize(
    "key", [None, "", "short", "dGhlIHNhbXBsZQ==", "!!!!", "dGhlIHNhbXBsZSBub25jZQ==x", "ä" * 24]
)
def test_a_key_that_is_not_16_bytes(key: str | None) -> None:
    assert status(Sec_WebSocket_Key=key) == 400


def test_origins() -> None:
    mine = ("https://chat.example",)
    assert accept(GET, headers(), mine)  # no browser, no origin
    assert accept(GET, headers(Origin="https://chat.example"), mine)
    assert accept(GET, headers(Origin="https://evil.example"), ANY)
    with pytest.raises(HttpError) as error:
        accept(GET, headers(Origin="https://evil.example"), mine)
    assert (error.value.status, error.value.counted) == (403, FORBIDDEN_ORIGIN)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("chat.example", "chat.example"),
        ("chat.example:3050", "chat.example"),
        ("192.168.1.7:3014", "192.168.1.7"),
        ("[::1]:3014", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
def test_the_host_name_is_what_the_client_used(header: str, name: str) -> None:
    assert host_name(headers(Host=header)) == name


@pytest.mark.parametrize("header", [None, "", "x" * 256, "x:" + "9" * 5000])
def test_a_host_that_is_none(header: str | None) -> None:
    with pytest.raises(HttpError):
        host_name(headers(Host=header))
