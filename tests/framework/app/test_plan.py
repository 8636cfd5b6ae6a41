"""What an author says, and for which servers it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zchat.framework.app.plan import Plan, names
from zchat.framework.handlers.filters import Call, Filter, serial, timeout
from zchat.framework.handlers.loader import Found
from zchat.route import Route


class RoomHandler:
    @serial
    async def go(self, msg: Any, session: Any) -> None: ...


def found(server_type: str) -> Found:
    return Found(Route(server_type, "roomHandler", "go"), RoomHandler, "go", Path("x.py"), 1)


async def audit(call: Call, msg: Any, session: Any) -> Any: ...


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        ((), []),
        ("gate", ["gate"]),
        ("gate|connector", ["connector", "gate"]),
        (" gate | connector|", ["connector", "gate"]),
        (["gate", "chat"], ["chat", "gate"]),
    ],
)
def test_names_as_a_list_or_as_pomelo_writes_them(given: Any, expected: list[str]) -> None:
    assert sorted(names(given)) == expected


def test_settings_by_name() -> None:
    plan = Plan()
    assert plan.get("motd") is None
    assert plan.get("motd", "hello") == "hello"
    plan.set("motd", "welcome")
    assert plan.get("motd", "hello") == "welcome"
    assert not plan.enabled("ads")
    plan.enable("ads")
    assert plan.enabled("ads")
    plan.disable("ads")
    assert not plan.enabled("ads")


def test_filters_of_the_application_the_type_and_the_handler() -> None:
    plan, limit = Plan(), timeout(1)
    assert plan.filter(audit) is audit
    plan.filter(limit, types="area|chat")
    assert [each.name for each in plan.filters_of(found("area"))] == [
        "audit",
        "timeout(1)",
        "serial",
    ]
    assert [each.name for each in plan.filters_of(found("gate"))] == ["audit", "serial"]
    assert plan.filters_of(found("area"))[1] is limit


def test_a_filter_may_be_a_decorated_function() -> None:
    plan = Plan()

    @plan.filter
    @Filter
    async def last(call: Call, msg: Any, session: Any) -> Any: ...

    assert plan.filters_of(found("area")) == [last, serial]


def test_error_handlers_are_plain_functions() -> None:
    plan = Plan()

    @plan.on_error
    def everywhere(error: Exception, msg: Any, session: Any) -> Any: ...

    def in_areas(error: Exception, msg: Any, session: Any) -> Any: ...

    plan.on_error(in_areas, types="area")
    assert plan.error_handlers("area") == [everywhere, in_areas]
    assert plan.error_handlers("chat") == [everywhere]

    async def late(error: Exception, msg: Any, session: Any) -> Any: ...

    with pytest.raises(TypeError, match=r"late must be a plain function"):
        plan.on_error(late)


@pytest.mark.parametrize(
    "moment",
    [
        "before_start",
        "after_start",
        "after_all_started",
        "before_stop",
        "on_server_added",
        "on_server_removed",
    ],
)
def test_hooks(moment: Any) -> None:
    plan = Plan()
    say = getattr(plan, moment)

    def first(*args: Any) -> None: ...
    async def second(*args: Any) -> None: ...

    assert say(first) is first
    say(second, types=["area"])
    assert plan.hooks(moment, "area") == [first, second]
    assert plan.hooks(moment, "chat") == [first]


def test_components() -> None:
    class Board:
        def __init__(self, app: object) -> None: ...

    plan = Plan()
    assert plan.add(Board, types="area") is Board
    first, *others = plan.factories("area")
    assert (first, others) == (Board, [])
    assert plan.factories("chat") == []
