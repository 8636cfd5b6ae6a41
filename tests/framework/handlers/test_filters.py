"""What stands around handlers."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.logs import ExpectedLogs
from tests.support.timing import MS
from zchat.config.settings import Settings
from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.framework.handlers.filters import (
    Call,
    Filter,
    access_log,
    compose,
    filters_of,
    rate_limit,
    serial,
    timeout,
    toobusy,
)
from zchat.framework.sessions.backend_session import BackendSession
from zchat.frontend.session import Snapshot

ROUTE = "x.xHandler.go"


def session(number: int = 7, uid: str = "alice") -> BackendSession:
    async def nobody(server: str, method: str, args: Any, /) -> None:
        raise AssertionError("no handler here calls its frontend")

    snapshot = Snapshot("connector-1", "life", number, uid, {}, "", "")
    return BackendSession(snapshot, nobody)


async def go(msg: Any, session: BackendSession) -> Any:
    if isinstance(msg, BaseException):
        raise msg
    return msg


def call_of(*filters: Filter, app: Any = None) -> Call:
    return compose(filters, Call(ROUTE, app, go))


def noting(name: str, notes: list[str]) -> Filter:
    async def run(call: Call, msg: Any, session: BackendSession) -> Any:
        notes.append(f"{name} before {call.route}")
        answer = await call(msg, session)
        notes.append(f"{name} after")
        return answer

    return Filter(run, name)


async def test_the_first_is_the_outermost() -> None:
    notes: list[str] = []
    call = call_of(noting("a", notes), noting("b", notes))
    assert await call({"n": 1}, session()) == {"n": 1}
    assert notes == [f"a before {ROUTE}", f"b before {ROUTE}", "b after", "a after"]


async def test_a_filter_changes_what_goes_in_and_comes_out_or_refuses() -> None:
    @Filter
    async def double(call: Call, msg: Any, session: BackendSession) -> Any:
        if msg["n"] < 0:
            raise RequestError("too little", code=422)
        return {"n": (await call({"n": msg["n"] + 1}, session))["n"] * 2}

    call = call_of(double)
    assert await call({"n": 1}, session()) == {"n": 4}
    with pytest.raises(RequestError, match="too little"):
        await call({"n": -1}, session())
    assert double.name == "double"


def test_above_a_handler_it_is_a_decorator() -> None:
    first, second = timeout(1), timeout(2)

    class XHandler:
        @first
        @second
        async def go(self, msg: Any, session: BackendSession) -> None: ...

        async def free(self, msg: Any, session: BackendSession) -> None: ...

    assert filters_of(XHandler.go) == (first, second)
    assert filters_of(XHandler().go) == (first, second)
    assert filters_of(XHandler.free) == ()


def plain(call: Call, msg: Any, session: BackendSession) -> Any: ...
async def too_few(call: Call, msg: Any) -> Any: ...


@pytest.mark.parametrize("run", [plain, too_few])
def test_what_is_no_filter_is_refused(run: Any) -> None:
    with pytest.raises(TypeError):
        Filter(run)


async def test_serial_is_the_dispatchers() -> None:
    call = Call(ROUTE, None, go)
    assert compose([serial], call) is call
    assert serial.name == "serial"


async def test_timeout() -> None:
    async def slow(msg: Any, session: BackendSession) -> Any:
        await asyncio.Event().wait()

    app = SimpleNamespace(settings=Settings())
    with pytest.raises(TimedOut):
        await compose([timeout(5 * MS)], Call(ROUTE, app, slow))({}, session())
    assert await call_of(timeout(4), app=app)({"n": 1}, session()) == {"n": 1}
    assert timeout(0.5).name == "timeout(0.5)"


async def test_a_timeout_that_can_do_nothing_says_so(expected_logs: ExpectedLogs) -> None:
    said = rf"timeout\(5\) of {ROUTE} does nothing: cluster.request_deadline is 5 s"
    expected_logs("zchat.app", said)
    call_of(timeout(5), app=SimpleNamespace(settings=Settings()))


async def test_toobusy() -> None:
    app = SimpleNamespace(lag=0.05, server=SimpleNamespace(id="chat-1"))
    call = call_of(toobusy(), app=app)
    assert await call({}, session()) == {}
    app.lag = 0.08
    with pytest.raises(Unavailable, match="chat-1 is too busy") as caught:
        await call({}, session())
    assert caught.value.body() == {"code": 503, "error": "chat-1 is too busy", "retry": True}


@pytest.mark.parametrize(
    ("msg", "code"),
    [
        ({}, "200"),
        (None, "200"),
        ({"code": 500}, "500"),
        (SimpleNamespace(code=302), "302"),
        (RequestError("no", code=404), "404"),
        (KeyError(), "500"),
        (asyncio.CancelledError(), "504"),
    ],
)
async def test_access_log(msg: Any, code: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zchat.access")
    await asyncio.gather(call_of(access_log())(msg, session()), return_exceptions=True)
    (record,) = caplog.records
    route, client, logged, took, unit, uid = record.getMessage().split()
    assert (route, client, logged, unit, uid) == (ROUTE, "connector-1/7", code, "ms", "alice")
    assert 0 <= float(took) < 1000


async def test_access_log_of_slow_requests_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zchat.access")
    await call_of(access_log(slower_than=60))({}, session(uid=""))
    assert caplog.records == []
    await call_of(access_log())({}, session(uid=""))
    assert caplog.text.strip().endswith(" -")


async def test_rate_limit_is_per_session_and_route() -> None:
    now = 10.0
    limit = rate_limit(0.5, 2, clock=lambda: now)
    call, other = call_of(limit), compose([limit], Call("x.xHandler.other", None, go))
    for _ in range(2):
        assert await call({}, session()) == {}
    with pytest.raises(RequestError) as caught:
        await call({}, session())
    body = caught.value.body()
    assert (body["code"], body["error"]) == (429, "too many requests")
    assert 1.99 < body["retry_after"] <= 2.0
    assert await other({}, session()) == {}
    assert await call({}, session(8)) == {}
    now += body["retry_after"]
    assert await call({}, session()) == {}
    assert limit.name == "rate_limit(0.5, 2)"


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (-1, 1), (1, 0), (1, 0.5)])
def test_rates_that_make_no_sense(per_second: float, burst: float) -> None:
    with pytest.raises(ValueError, match=r"rate|burst"):
        rate_limit(per_second, burst)


def test_without_a_burst_it_is_a_seconds_worth() -> None:
    assert rate_limit(5).name == "rate_limit(5, 5)"
    assert rate_limit(0.1).name == "rate_limit(0.1, 1)"
