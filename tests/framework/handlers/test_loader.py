"""Handlers and remotes found by their files; what is wrong stops the start with its place."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zchat.errors import ConfigError
from zchat.framework.handlers.loader import Found, load, load_hooks

_packages = itertools.count()


@pytest.fixture
def package() -> Iterator[str]:
    """An import name of this test's own."""
    name = f"loaded_by_test_{next(_packages)}"
    yield name
    for module in [module for module in sys.modules if module.startswith(f"{name}.")]:
        del sys.modules[module]


def write(root: Path, path: str, text: str) -> Path:
    file = root / "servers" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


ENTRY = """
import functools

def plain(function):
    @functools.wraps(function)
    def wrapper(self, *args):
        return function(self, *args)
    return wrapper

class Base:
    async def inherited(self, msg, session): ...

class EntryHandler(Base):
    NUMBER = 7

    async def query_entry(self, msg, session): ...

    @plain
    async def wrapped(self, msg, session): ...

    async def _private(self, msg, session): ...

    def _helper(self): ...

    @property
    def state(self): ...

class Other:
    async def other(self, msg, session): ...
"""


def routes(found: list[Found]) -> list[str]:
    return [str(entry.route) for entry in found]


def test_public_coroutines_of_the_class_itself(tmp_path: Path, package: str) -> None:
    path = write(tmp_path, "connector/handler/entry_handler.py", ENTRY)
    found = load(tmp_path, package, "handler")
    assert routes(found) == ["connector.entryHandler.queryEntry", "connector.entryHandler.wrapped"]
    entry = found[0]
    assert (entry.cls.__name__, entry.method, entry.path) == ("EntryHandler", "query_entry", path)
    assert "query_entry" in path.read_text().splitlines()[entry.line - 1]


def test_kinds_and_types_are_kept_apart(tmp_path: Path, package: str) -> None:
    for server_type in ("chat", "area"):
        for kind in ("handler", "remote"):
            text = f"class X{kind.title()}:\n    async def go(self, *args): ...\n"
            write(tmp_path, f"{server_type}/{kind}/x_{kind}.py", text)
    assert routes(load(tmp_path, package, "handler")) == ["area.xHandler.go", "chat.xHandler.go"]
    assert routes(load(tmp_path, package, "remote", "chat")) == ["chat.xRemote.go"]
    assert load(tmp_path, package, "remote", "gate") == []
    assert load(tmp_path / "nowhere", package, "handler") == []


def test_a_file_is_imported_once(tmp_path: Path, package: str) -> None:
    write(tmp_path, "chat/handler/x_handler.py", "class XHandler:\n    async def go(self): ...\n")
    first, second = (load(tmp_path, package, "handler")[0] for _ in range(2))
    assert first.cls is second.cls


def test_two_applications_without_a_package_keep_their_own(tmp_path: Path, package: str) -> None:
    for name in ("one", "two"):
        text = f"class XHandler:\n    async def {name}(self): ...\n"
        write(tmp_path / name, "chat/handler/x_handler.py", text)
    assert routes(load(tmp_path / "one", package, "handler")) == ["chat.xHandler.one"]
    assert routes(load(tmp_path / "two", package, "handler")) == ["chat.xHandler.two"]


def test_files_with_an_underscore_are_the_applications_own(tmp_path: Path, package: str) -> None:
    write(tmp_path, "chat/handler/__init__.py", "raise AssertionError")
    write(tmp_path, "chat/handler/_tables.py", "raise AssertionError")
    assert load(tmp_path, package, "handler") == []


def test_two_files_of_one_name_on_the_wire(tmp_path: Path, package: str) -> None:
    text = "class XHandler:\n    async def go(self, msg, session): ...\n"
    one = write(tmp_path, "chat/handler/x_handler.py", text)
    two = write(tmp_path, "chat/handler/xHandler.py", "\n" + text)
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, package, "handler")
    assert str(wrong.value).startswith("chat.xHandler.go is in ")
    assert f"{one}:2" in str(wrong.value)
    assert f"{two}:3" in str(wrong.value)


def test_two_methods_of_one_name_on_the_wire(tmp_path: Path, package: str) -> None:
    text = "class XHandler:\n    async def go_on(self): ...\n    async def goOn(self): ...\n"
    path = write(tmp_path, "chat/handler/x_handler.py", text)
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, package, "handler")
    assert str(wrong.value) == f"chat.xHandler.goOn is in {path}:2 and in {path}:3"


@pytest.mark.parametrize(
    "method", ["def go(self): ...", "async def go(self):\n        yield", "def go(self): yield"]
)
def test_a_public_method_that_is_no_coroutine(tmp_path: Path, package: str, method: str) -> None:
    path = write(tmp_path, "chat/handler/x_handler.py", f"class XHandler:\n    {method}\n")
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, package, "handler")
    assert str(wrong.value) == f"{path}:2: XHandler.go must be `async def`"


@pytest.mark.parametrize("text", ["", "class Other: ...", "XHandler = 7"])
def test_a_file_without_its_class(tmp_path: Path, package: str, text: str) -> None:
    path = write(tmp_path, "chat/handler/x_handler.py", text)
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, package, "handler")
    assert str(wrong.value) == f"{path}: expected a class named XHandler"


def test_a_file_that_cannot_be_imported_says_why_and_can_be_tried_again(
    tmp_path: Path, package: str
) -> None:
    path = write(tmp_path, "chat/handler/x_handler.py", "\nimport nothing_of_that_name")
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, package, "handler")
    reason = "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert str(wrong.value) == f"{path}:2: {reason}"
    path.write_text("class XHandler:\n    async def go_on_and_on(self): ...\n")
    assert routes(load(tmp_path, package, "handler")) == ["chat.xHandler.goOnAndOn"]


def test_what_goes_wrong_deeper_down_is_named_where_it_began(tmp_path: Path, package: str) -> None:
    text = "import json\nTABLE = json.loads('{\\n')\n"
    path = write(tmp_path, "chat/handler/x_handler.py", text)
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, package, "handler")
    assert str(wrong.value).startswith(f"{path}:2: JSONDecodeError: ")
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("text", ["import", "raise SystemExit"])
def test_a_syntax_error_and_an_exit_are_let_through(
    tmp_path: Path, package: str, text: str
) -> None:
    write(tmp_path, "chat/handler/x_handler.py", text)
    with pytest.raises((SyntaxError, SystemExit)):
        load(tmp_path, package, "handler")


LIFECYCLE = """
import asyncio
from pathlib import Path
from textwrap import dedent

class Helper: ...

def _private(app): ...

async def after_start(app): ...

def before_start(app): ...
"""
MOMENTS = ["before_start", "after_start"]


def test_hooks_are_the_functions_of_lifecycle(tmp_path: Path, package: str) -> None:
    write(tmp_path, "chat/lifecycle.py", LIFECYCLE)
    found = load_hooks(tmp_path, package, "chat", MOMENTS)
    assert [(name, hook.__name__) for name, hook in found] == [
        ("after_start", "after_start"),
        ("before_start", "before_start"),
    ]
    assert load_hooks(tmp_path, package, "gate", MOMENTS) == []


def test_a_hook_with_an_unknown_name_stops_the_start(tmp_path: Path, package: str) -> None:
    path = write(tmp_path, "chat/lifecycle.py", "\ndef beforeStartup(app): ...\n")
    with pytest.raises(ConfigError) as caught:
        load_hooks(tmp_path, package, "chat", MOMENTS)
    said = f"{path}:2: beforeStartup: expected one of before_start, after_start"
    assert str(caught.value) == said
