"""Every request has exactly one answer, whatever its handler does."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.logs import ExpectedLogs
from tests.support.timing import MS
from zchat.errors import BadRequest, ConfigError, RequestError
from zchat.framework.handlers.dispatcher import (
    INTERNAL_ERROR,
    MAX_ANSWER,
    Dispatcher,
    ErrorHandler,
    Surroundings,
    is_retried,
    retry,
)
from zchat.framework.handlers.filters import Call, Filter, serial
from zchat.framework.handlers.loader import Found
from zchat.framework.peers.context import Origin, current
from zchat.framework.sessions.backend_session import BackendSession
from zchat.frontend.session import Snapshot
from zchat.route import Route

INTERNAL = {"code": 500, "error": "internal error"}


class Inner(msgspec.Struct):
    number: int


class Message(msgspec.Struct):
    name: str
    inner: Inner | None = None
    many: list[Inner] = []


class Defaults(msgspec.Struct, forbid_unknown_fields=True):
    name: str = "nobody"


class Typed(TypedDict):
    name: str


@dataclass
class Plain:
    name: str


def echo(value: Any) -> dict[str, Any]:
    return {"type": type(value).__name__, "value": msgspec.to_builtins(value)}


class XHandler:
    """Handlers of every kind of message."""

    async def struct(self, msg: Message, session: BackendSession) -> Any:
        return echo(msg)

    async def defaults(self, msg: Defaults, session: BackendSession) -> Any:
        return echo(msg)

    async def typed(self, msg: Typed, session: BackendSession) -> Any:
        return echo(msg)

    async def plain(self, msg: Plain, session: BackendSession) -> Any:
        return echo(msg)

    async def mapping(self, msg: dict[str, Any], session: BackendSession) -> Any:
        return echo(msg)

    async def bare(self, msg: dict, session: BackendSession) -> Any:  # type: ignore[type-arg]
        return echo(msg)

    async def anything(self, msg: Any, session: BackendSession) -> Any:
        return echo(msg)

    async def silent(self, msg, session):  # type: ignore[no-untyped-def]
        return echo(msg)

    async def numbers(self, msg: dict[int, str] | list[int], session: BackendSession) -> Any:
        return echo(msg)


def dispatcher_of(cls: type, *methods: str) -> Dispatcher:
    found = [
        Found(Route("x", "xHandler", name), cls, name, Path("x_handler.py"), 7)
        for name in methods or [name for name in vars(cls) if not name.startswith("_")]
    ]
    instance = cls()
    return Dispatcher(found, lambda _: instance)


def session() -> BackendSession:
    async def nobody(server: str, method: str, args: Any, /) -> None:
        raise AssertionError("no handler here calls its frontend")

    return BackendSession(Snapshot("connector-1", "life", 7, "alice", {}, "", ""), nobody)


async def ask(
    dispatcher: Dispatcher, method: str, body: bytes = b"{}", budget: float = 5
) -> dict[str, Any]:
    data = await dispatcher.answer(f"x.xHandler.{method}", session(), body, 42, budget)
    answer: dict[str, Any] = json.loads(data)
    return answer


HANDLERS = dispatcher_of(XHandler)


@pytest.mark.parametrize(
    ("method", "kind", "value"),
    [
        ("struct", "Message", {"name": "é", "inner": None, "many": []}),
        ("defaults", "Defaults", {"name": "é"}),
        ("typed", "dict", {"name": "é"}),
        ("plain", "Plain", {"name": "é"}),
        ("mapping", "dict", {"name": "é"}),
        ("bare", "dict", {"name": "é"}),
        ("anything", "dict", {"name": "é"}),
        ("silent", "dict", {"name": "é"}),
    ],
)
async def test_the_annotation_says_what_a_message_is(method: str, kind: str, value: object) -> None:
    body = '{"name":"é"}'.encode()
    assert await ask(HANDLERS, method, body) == {"type": kind, "value": value}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"name":"\xed\xa0\xbd\xed\xb8\x80"}', "😀"),  # CESU-8, as Pomelo's browser client writes
        (b'{"name":"\\ud83d\\ude00"}', "😀"),
        (b'{"name":"\\ud83d"}', "\ufffd"),  # half a pair
        (b'{"name":"a\xffb"}', "a\ufffdb"),
    ],
)
@pytest.mark.parametrize("method", ["struct", "typed", "mapping", "anything"])
async def test_texts_as_browsers_write_them(method: str, body: bytes, name: str) -> None:
    assert (await ask(HANDLERS, method, body))["value"]["name"] == name


async def test_keys_that_are_numbers_are_read_in_mended_texts_too() -> None:
    for text in (b"a", b"\xed\xa0\xbd\xed\xb8\x80"):
        answer = await ask(HANDLERS, "numbers", b'{"1":"%b"}' % text)
        assert list(answer["value"]) == ["1"]


@pytest.mark.parametrize(
    ("body", "path", "error"),
    [
        (b"{}", "name", "Object missing required field `name`"),
        (b"", "name", "Object missing required field `name`"),
        (b'{"name":7}', "name", "Expected `str`, got `int`"),
        (b'{"name":"x","inner":{"number":"7"}}', "inner.number", "Expected `int`, got `str`"),
        (b'{"name":"x","inner":{}}', "inner.number", "Object missing required field `number`"),
        (b'{"name":"x","many":[{"number":1},{}]}', "many[1].number", "Object missing required"),
        (b"[]", "", "Expected `object`, got `array`"),
        (b"null", "", "Expected `object`, got `null`"),
    ],
)
async def test_a_bad_field_is_named(body: bytes, path: str, error: str) -> None:
    answer = await ask(HANDLERS, "struct", body)
    assert (answer["code"], answer["path"]) == (400, path)
    assert answer["error"].startswith(error)


async def test_a_field_with_a_hostile_name_is_no_path() -> None:
    answer = await ask(HANDLERS, "defaults", b'{" - at `$.x`":1}')
    assert answer["code"] == 400


@pytest.mark.parametrize("body", [b"{", b"no json", b"\xff\xfe", b'{"name":' + b"[" * 100_000])
async def test_what_is_no_json_is_refused_or_empty(body: bytes) -> None:
    for method in ("struct", "typed", "plain"):
        assert (await ask(HANDLERS, method, body))["code"] == 400
    for method in ("mapping", "anything", "silent"):
        assert (await ask(HANDLERS, method, body))["value"] == {}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=40) | st.text(alphabet='{}[]":,name1\\ud', max_size=30).map(str.encode)
)
def test_no_bytes_of_a_client_are_an_internal_error(body: bytes) -> None:
    async def go() -> None:
        for method in HANDLERS.table:
            assert await ask(HANDLERS, method.rpartition(".")[2], body) != INTERNAL

    asyncio.run(go())


def handler_of(work: Callable[[], Awaitable[Any]]) -> Dispatcher:
    """One whose `go` does that."""

    class XHandler:
        async def go(self, msg: Any, session: BackendSession) -> Any:
            return await work()

    return dispatcher_of(XHandler)


async def returns(value: Any) -> Any:
    return value


async def raises(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("result", "answer"),
    [(None, {}), ({}, {}), ({"a": 1}, {"a": 1}), ([], []), (0, {}), ("", {}), (False, {})],
)
async def test_what_a_handler_returns_is_the_answer(result: object, answer: object) -> None:
    assert await ask(handler_of(lambda: returns(result)), "go") == answer


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    "result",
    [object(), {"a": object()}, {"a": "\ud800"}, CIRCLE, "x" * (MAX_ANSWER + 1), {1, object()}],
)
async def test_what_cannot_be_sent_is_an_internal_error(
    result: object, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.app", "x.xHandler.go failed: session connector-1/7, request 42")
    assert await ask(handler_of(lambda: returns(result)), "go") == INTERNAL


async def test_the_largest_answer() -> None:
    dispatcher = handler_of(lambda: returns("x" * (MAX_ANSWER - 2)))
    data = await dispatcher.answer("x.xHandler.go", session(), b"", 1, 5)
    assert len(data) == MAX_ANSWER


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (RequestError("no", code=7, a=1), {"code": 7, "error": "no", "a": 1}),
        (BadRequest("no", path="x"), {"code": 400, "error": "no", "path": "x"}),
        (RequestError("", error=True), {"code": 500, "error": True}),
    ],
)
async def test_a_request_error_is_the_answer(error: Exception, answer: object) -> None:
    assert await ask(handler_of(lambda: raises(error)), "go") == answer


@pytest.mark.parametrize(
    "error",
    [
        KeyError("secret"),
        RequestError("no", what=object()),
        RequestError("\ud800"),
        RequestError("no", circle=CIRCLE),
        TimeoutError("of a library"),
        asyncio.CancelledError("of another task"),
        ExceptionGroup("several", [ValueError("secret")]),
        RecursionError(),
    ],
)
async def test_any_other_error_is_told_to_the_log_only(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "zchat.app")
    assert await ask(handler_of(lambda: raises(error)), "go") == INTERNAL
    (record,) = caplog.records
    assert record.getMessage() == "x.xHandler.go failed: session connector-1/7, request 42"
    assert record.exc_info is not None
    assert "raise error" in caplog.text, "the traceback reaches into the handler"


async def test_who_takes_too_long_is_cancelled_and_answered() -> None:
    ended = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    answer = await ask(handler_of(slow), "go", budget=10 * MS)
    assert (answer["code"], ended) == (504, [True])


async def test_a_server_that_stops_answers_nothing_more() -> None:
    dispatcher = handler_of(asyncio.Event().wait)
    task = asyncio.ensure_future(ask(dispatcher, "go"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "route", ["x.xHandler.gone", "", "x", "x.xHandler.__init__", "\n\ud800" * 99]
)
async def test_what_is_not_in_the_table_is_an_error(route: str) -> None:
    answer = json.loads(await HANDLERS.answer(route, session(), b"", 1, 5))
    assert answer["code"] == 500
    assert answer["error"].startswith("no handler for ")
    assert answer["error"].isascii()


async def test_the_handler_knows_whose_request_it_is() -> None:
    async def who() -> object:
        return msgspec.to_builtins(current.get())

    assert await ask(handler_of(who), "go") == msgspec.to_builtins(Origin("connector-1", 7, 42))


def test_retry_marks_a_handler() -> None:
    @retry
    async def send() -> None: ...

    assert is_retried(send)
    assert not is_retried(raises)


def test_the_constant_answer() -> None:
    assert json.loads(INTERNAL_ERROR) == INTERNAL


class Wrong:
    async def nothing(self) -> None: ...
    async def too_little(self, msg: Any) -> None: ...
    async def too_much(self, msg: Any, session: Any, more: Any) -> None: ...
    async def unknown(self, msg: Missing, session: Any) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    async def impossible(self, msg: Inner | Message, session: Any) -> None: ...


@pytest.mark.parametrize("method", ["nothing", "too_little", "too_much", "unknown", "impossible"])
def test_handlers_that_no_message_fits_stop_the_start(method: str) -> None:
    with pytest.raises(ConfigError, match=rf"x_handler\.py:7: x\.xHandler\.{method}: "):
        dispatcher_of(Wrong, method)


# Filters and error handlers


def around_of(*filters: Filter, on_error: Sequence[ErrorHandler] = ()) -> Surroundings:
    return Surroundings(app="app", filters=lambda found: filters, on_error=on_error)


class GoHandler:
    async def go(self, msg: Any, session: BackendSession) -> Any:
        if "error" in msg:
            raise KeyError(msg["error"])
        if "code" in msg:
            raise RequestError("no", code=msg["code"])
        return msg


def surrounded(*filters: Filter, on_error: Sequence[ErrorHandler] = ()) -> Dispatcher:
    found = Found(Route("x", "xHandler", "go"), GoHandler, "go", Path("x_handler.py"), 7)
    instance = GoHandler()
    return Dispatcher([found], lambda _: instance, around_of(*filters, on_error=on_error))


async def test_filters_stand_around_the_handler() -> None:
    @Filter
    async def add(call: Call, msg: Any, session: BackendSession) -> Any:
        return {**await call(msg, session), "route": call.route, "app": call.app}

    @Filter
    async def refuse(call: Call, msg: Any, session: BackendSession) -> Any:
        raise RequestError("closed", code=403)

    answer = await ask(surrounded(add), "go", b'{"a":1}')
    assert answer == {"a": 1, "route": "x.xHandler.go", "app": "app"}
    assert (await ask(surrounded(refuse, add), "go"))["code"] == 403


def test_only_serial_routes_have_turns() -> None:
    ref = session().ref
    assert surrounded(serial).turn("x.xHandler.go", ref) is not None
    assert surrounded().turn("x.xHandler.go", ref) is None
    assert surrounded(serial).turn("x.xHandler.gone", ref) is None


async def test_error_handlers_choose_the_answer_in_turn() -> None:
    asked: list[tuple[str, Any, str]] = []

    def first(error: Exception, msg: Any, session: BackendSession) -> Any:
        asked.append((type(error).__name__, msg, session.uid))
        return None

    def second(error: Exception, msg: Any, session: BackendSession) -> Any:
        return {"code": 404, "error": f"no {error.args[0]}"} if type(error) is KeyError else None

    dispatcher = surrounded(on_error=[first, second])
    assert await ask(dispatcher, "go", b'{"error":"x"}') == {"code": 404, "error": "no x"}
    assert (await ask(dispatcher, "go", b'{"code":7}'))["code"] == 7
    assert asked == [("KeyError", {"error": "x"}, "alice"), ("RequestError", {"code": 7}, "alice")]
    assert dispatcher.counters == {"answered_404": 1, "answered_7": 1}


async def test_error_handlers_hear_of_bodies_that_fit_nothing() -> None:
    def handle(error: Exception, msg: Any, session: BackendSession) -> Any:
        return {"code": 422, "msg": msg}

    found = Found(Route("x", "xHandler", "struct"), XHandler, "struct", Path("x_handler.py"), 7)
    dispatcher = Dispatcher([found], lambda _: XHandler(), around_of(on_error=[handle]))
    assert await ask(dispatcher, "struct", b"{}") == {"code": 422, "msg": None}


def broken(error: Exception, msg: Any, session: BackendSession) -> Any:
    raise ValueError("in the error handler")


def unsendable(error: Exception, msg: Any, session: BackendSession) -> Any:
    return object()


@pytest.mark.parametrize("handle", [broken, unsendable])
async def test_error_handlers_that_fail_are_told_to_the_log(
    handle: ErrorHandler, expected_logs: ExpectedLogs, caplog: pytest.LogCaptureFixture
) -> None:
    expected_logs("zchat.app", "x.xHandler.go failed")
    dispatcher = surrounded(on_error=[handle])
    assert await ask(dispatcher, "go", b'{"error":"x"}') == INTERNAL
    assert "KeyError: 'x'" in caplog.text, "the error that it was asked about too"
    assert dispatcher.counters == {"answered_500": 1}


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException("odd")])
async def test_what_would_end_the_server_is_an_internal_error(
    error: BaseException, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.app", "x.xHandler.go failed")
    assert await ask(handler_of(lambda: raises(error)), "go") == INTERNAL
