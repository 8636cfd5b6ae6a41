"""Finds an application's handlers and remotes by their files; runs once, at start.

    servers/<server type>/handler/<name>_handler.py    class <Name>Handler    routes for clients
    servers/<server type>/remote/<name>_remote.py      class <Name>Remote     calls for servers
    servers/<server type>/lifecycle.py                 functions              its hooks

Every public `async def` that the class itself defines is callable, under the names that Pomelo
gives them: `entry_handler.py` and `def query_entry` make `<type>.entryHandler.queryEntry`.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from zchat.errors import ConfigError
from zchat.naming import camel, pascal
from zchat.route import Route

Kind = Literal["handler", "remote"]
Hook = tuple[str, Callable[..., Any]]
"""A moment of a server's life, and what is called then."""


@dataclass(frozen=True, slots=True)
class Found:
    """One callable method and where it stands."""

    route: Route
    cls: type
    method: str
    path: Path
    line: int


def load(root: Path, package: str, kind: Kind, server_type: str | None = None) -> list[Found]:
    """All methods of one kind below `root/servers`, in the order of their routes.

    Args:
        root: the application's folder.
        package: the import name under which its modules are known.
        server_type: only this type's; all types when None.

    A method that is meant for other methods only has a name with `_` in front.

    Raises:
        ConfigError: two methods share a route, a public method is no coroutine, a file has no
            class of its name or cannot be imported. All places are named.
        SyntaxError: of a file.
    """
    found: dict[str, Found] = {}
    for path in sorted((root / "servers").glob(f"{server_type or '*'}/{kind}/*.py")):
        if path.name.startswith("_"):
            continue
        for entry in _methods(_class(_import(path, root, package), path), path):
            other = found.setdefault(str(entry.route), entry)
            if other is not entry:
                raise ConfigError(f"{entry.route} is in {_place(other)} and in {_place(entry)}")
    return [found[route] for route in sorted(found)]


def load_hooks(root: Path, package: str, server_type: str, moments: Sequence[str]) -> list[Hook]:
    """The public functions of `root/servers/<server type>/lifecycle.py`, if there is one.

    Args:
        root: the application's folder.
        package: the import name under which its modules are known.
        moments: the names that they may have.

    Raises:
        ConfigError: the file cannot be imported, or a function has another name.
        SyntaxError: of the file.
    """
    path = root / "servers" / server_type / "lifecycle.py"
    if not path.exists():
        return []
    module = _import(path, root, package)
    found: list[Hook] = []
    for name, value in vars(module).items():
        imported = getattr(value, "__module__", "") != module.__name__
        if name.startswith("_") or imported or not inspect.isfunction(value):
            continue
        if name not in moments:
            line = value.__code__.co_firstlineno
            raise ConfigError(f"{path}:{line}: {name}: expected one of {', '.join(moments)}")
        found.append((name, value))
    return found


def _import(path: Path, root: Path, package: str) -> ModuleType:
    name = ".".join((package, *path.relative_to(root).with_suffix("").parts))
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known  # else it is of another application that has no package either
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError | ConfigError) or not isinstance(error, Exception):
            raise
        raise ConfigError(_reason(path, error)) from error
    return module


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be imported, on one line, with the line of the file that led there."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    place = f"{path}:{lines[-1]}" if lines else str(path)
    return f"{place}: {type(error).__name__}: {' '.join(str(error).split())}"


def _class(module: ModuleType, path: Path) -> type:
    name = pascal(path.stem)
    cls = getattr(module, name, None)
    if not inspect.isclass(cls):
        raise ConfigError(f"{path}: expected a class named {name}")
    return cls


def _methods(cls: type, path: Path) -> Iterator[Found]:
    server_type, handler = path.parent.parent.name, camel(path.stem)
    for name, value in vars(cls).items():
        if name.startswith("_") or not inspect.isfunction(value):
            continue
        function: Any = inspect.unwrap(value)
        line = function.__code__.co_firstlineno
        if not (inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(function)):
            raise ConfigError(f"{path}:{line}: {cls.__name__}.{name} must be `async def`")
        yield Found(Route(server_type, handler, camel(name)), cls, name, path, line)


def _place(found: Found) -> str:
    return f"{found.path}:{found.line}"
