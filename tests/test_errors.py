"""Errors as answers, and answers as errors again."""

from __future__ import annotations

import pytest

from zchat.errors import (
    BadRequest,
    ClusterError,
    ConfigError,
    ProtocolError,
    RequestError,
    StartError,
    TimedOut,
    Unavailable,
    ZchatError,
)


@pytest.mark.parametrize(
    "kind", [ConfigError, StartError, ProtocolError, ClusterError, RequestError]
)
def test_all_are_zchats(kind: type[Exception]) -> None:
    assert issubclass(kind, ZchatError)


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (RequestError("no"), {"code": 500, "error": "no"}),
        (RequestError("no", code=418, tea=True), {"code": 418, "error": "no", "tea": True}),
        (BadRequest("what?", path="uid"), {"code": 400, "error": "what?", "path": "uid"}),
        (Unavailable("later"), {"code": 503, "error": "later", "retry": True}),
        (Unavailable("never", retry=False), {"code": 503, "error": "never", "retry": False}),
        (Unavailable("no", code=500), {"code": 500, "error": "no", "retry": True}),
        (TimedOut("late"), {"code": 504, "error": "late"}),
        (RequestError("no", error=True), {"code": 500, "error": True}),
    ],
)
def test_what_the_client_gets(error: RequestError, body: dict[str, object]) -> None:
    assert error.body() == body
    assert str(error) == error.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, BadRequest),
        (503, Unavailable),
        (504, TimedOut),
        (500, RequestError),
        (1, RequestError),
    ],
)
def test_another_servers_error_keeps_class_code_and_fields(
    code: int, kind: type[RequestError]
) -> None:
    error = RequestError.of(code, "text", {"path": "x", "self": 1, "message": 2, "code": 3})
    assert type(error) is kind
    assert (error.code, error.message, str(error)) == (code, "text", "text")
    assert error.fields == {"path": "x", "self": 1, "message": 2, "code": 3}


def test_an_applications_class_comes_back_whatever_its_constructor_wants() -> None:
    class Banned(RequestError):
        code = 4711

        def __init__(self, who: str, until: int) -> None:
            super().__init__(f"{who} is banned", until=until)

    raised = Banned("eve", 1700)
    again = RequestError.of(raised.code, raised.message, raised.fields)
    assert type(again) is Banned
    assert again.body() == raised.body()


def test_the_first_class_of_a_code_stands_for_it() -> None:
    class MissingField(BadRequest):
        """Has no code of its own."""

    assert type(RequestError.of(MissingField.code, "x", {})) is BadRequest


def test_a_mark_brings_back_the_class_and_the_server() -> None:
    class Crowded(RequestError):
        code = 503

    raised = Crowded("full", size=3)
    again = RequestError.of(raised.code, raised.message, raised.mark("chat-1"))
    assert (type(again), again.server, again.fields) == (Crowded, "chat-1", {"size": 3})
    further = RequestError.of(again.code, again.message, again.mark("chat-2"))
    assert further.server == "chat-1"
    assert raised.server == ""


@pytest.mark.parametrize(
    "mark",
    [None, 1, [], ["BadRequest"], [1, 2], ["Unheard", ""], ["BadRequest", ""], {"a": 1}],
)
def test_a_mark_that_names_no_class_of_that_code_is_none(mark: object) -> None:
    error = RequestError.of(503, "later", {"@": mark})
    assert type(error) is Unavailable
