"""Imports go down only: the floors of the package, and what else may not be imported where."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import zchat
from tests.support.sources import docstrings, imports, modules, tree

WORDS = ("errors", "naming", "route", "rendezvous", "wheel")
"""Single modules that everyone may import, one another included."""

FLOORS = (
    WORDS,
    ("protocol", "config"),
    ("cluster", "rooms"),
    ("frontend", "client"),
    ("framework",),
    ("zchat",),  # zchat/__init__.py, the public names: for those who build on the framework
    ("testing",),
    ("ops", "chat"),
)
"""From the ground up. A part imports from the floors below it and from itself, nothing else."""

PACKAGES = {
    "framework": ("peers", "sessions", "channels", "handlers", "app", "server"),
    "frontend": ("sockets", ""),
}
"""The packages of a part, from the ground up; "" is what stands beside them."""

HEIGHT = {part: height for height, floor in enumerate(FLOORS) for part in floor}

ONLY_IN = {
    "zmq": ("cluster",),
    "sqlite3": ("rooms",),
    "supervisor": ("ops",),
    "tornado": ("frontend", "client", "ops"),
}
"""Who may import what others gave us: replacing one of them touches one part."""

PURE = ("protocol", *WORDS)
"""Parts that decide without a loop, a socket, a clock or a die."""

IMPURE = ("asyncio", "socket", "ssl", "select", "threading", "time", "random", "secrets")

TIES = {
    "zchat",
    "zchat.framework.app.application",
    "zchat.framework.server.running",
    "zchat.framework.server.frontend_part",
}
"""Where cluster, rooms and frontend are tied together; all other modules see a part of it."""

CHAT_MAY_IMPORT = {"zchat", "msgspec"}
"""Besides itself and the standard library. A handler's message is a msgspec.Struct by contract."""

CHATS_OWN_WORDS = ("onChat", "onAdd", "onLeave", "rid", "users")
"""What only the chat knows; a framework that knows them is not one."""

CHATS_CLIENTS = {"zchat.ops.check", "zchat.ops.scaffold.chat.tests.test_chat"}
"""Who plays the chat's clients, as its page does, and so has to speak as they do."""


def part_of(module: str) -> str:
    """`rooms` for zchat.rooms.broker; `zchat` for the package itself."""
    return module.split(".")[1] if "." in module else module


def edges() -> Iterator[tuple[str, str]]:
    """Every import inside the package, as (importing module, imported module)."""
    for module in modules():
        for imported in imports(module):
            if imported.split(".")[0] == "zchat":
                yield module, imported


def test_every_module_has_a_floor() -> None:
    assert {part_of(module) for module in modules()} <= set(HEIGHT)


def test_imports_go_down() -> None:
    wrong = []
    for module, imported in edges():
        importer, part = part_of(module), part_of(imported)
        inside = importer == part or (importer in WORDS and part in WORDS)
        if not inside and importer != "zchat" and HEIGHT[part] >= HEIGHT[importer]:
            wrong.append(f"{module} imports {imported}")
    assert wrong == []


def package_of(module: str) -> str:
    """`peers` for zchat.framework.peers.node, nothing for zchat.frontend.hub."""
    return module.split(".")[2] if module.count(".") > 2 else ""


@pytest.mark.parametrize("part", PACKAGES)
def test_imports_inside_a_part_go_down(part: str) -> None:
    height = {package: height for height, package in enumerate(PACKAGES[part])}
    inside = [edge for edge in edges() if part_of(edge[0]) == part_of(edge[1]) == part]
    assert {package_of(module) for edge in inside for module in edge} == set(height)
    wrong = [edge for edge in inside if height[package_of(edge[1])] > height[package_of(edge[0])]]
    assert wrong == []


def test_no_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for module, imported in edges():
        graph.setdefault(module, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_parts_are_tied_together_in_few_places() -> None:
    parts: dict[str, set[str]] = {}
    for module, imported in edges():
        if part_of(imported) != part_of(module):
            parts.setdefault(module, set()).add(part_of(imported))
    ties = {module for module, known in parts.items() if known >= {"cluster", "rooms", "frontend"}}
    assert ties <= TIES


@pytest.mark.parametrize("package", ONLY_IN)
def test_what_others_gave_us_has_its_place(package: str) -> None:
    users = {m for m in modules() for name in imports(m) if name.split(".")[0] == package}
    assert {m for m in users if part_of(m) not in ONLY_IN[package]} == set()


def test_pure_parts() -> None:
    found = [(m, name) for m in modules() if part_of(m) in PURE for name in imports(m)]
    assert [(m, name) for m, name in found if name.split(".")[0] in IMPURE] == []


@pytest.mark.parametrize("module", ["zchat", "zchat.ops.supervision"])
def test_supervisord_stays_light(module: str) -> None:
    """supervisord itself imports our plugin, and must not become a server by that."""
    code = f"import sys, {module}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert {"zmq", "tornado"}.isdisjoint(ended.stdout.split())


def test_chat_uses_public_names_only() -> None:
    wrong = []
    for module, path in modules().items():
        if part_of(module) != "chat":
            continue
        for imported in imports(module):
            own = imported == "zchat.chat" or imported.startswith("zchat.chat.")
            standard = imported.split(".")[0] in sys.stdlib_module_names
            if not (own or standard or imported in CHAT_MAY_IMPORT):
                wrong.append(f"{module} imports {imported}")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "zchat":
                wrong += [f"{module}: {a.name}" for a in node.names if a.name not in zchat.__all__]
    assert wrong == []


def strings_and_names(path: Path) -> Iterator[str]:
    """Identifiers and string constants of a file; comments and docstrings are prose."""
    prose = docstrings(path)
    for node in ast.walk(tree(path)):
        match node:
            case ast.Constant(value=str() as text) if node not in prose:
                yield text
            case ast.Constant(value=bytes() as data):
                yield data.decode("latin-1")
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name
            case ast.keyword(arg=str() as name) | ast.alias(name=name):
                yield name


def says(text: str, word: str) -> bool:
    """Whether `text` is the word, or has it as a key or in a dotted name: prose does not count."""
    return re.search(rf"""(?:^|[.'"]){word}(?:$|[.'"])""", text) is not None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("rid", True),
        ('{"rid": 1}', True),
        ("msg.rid", True),
        ("grid", False),
        ("rides", False),
        ("rid of it", False),
        ("to get rid of", False),
    ],
)
def test_says(text: str, verdict: bool) -> None:
    assert says(text, "rid") is verdict


def test_only_the_chat_knows_its_words() -> None:
    found = [
        f"{module}: {text!r}"
        for module, path in modules().items()
        if part_of(module) != "chat" and module not in CHATS_CLIENTS
        for text in strings_and_names(path)
        if any(says(text, word) for word in CHATS_OWN_WORDS)
    ]
    assert found == []
