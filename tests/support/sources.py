"""The project's Python files as the tests of its structure see them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "zchat"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(module: str) -> Iterator[str]:
    """What `module` imports, wherever it says so: in functions and for type checkers as well.

    `from zchat.rooms import broker` gives `zchat.rooms.broker`, as that is a module;
    `from zchat.route import Route` gives `zchat.route`; `from zchat import Application` gives
    `zchat`.
    """
    path = modules()[module]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, node.module or ""]).rstrip(".") if node.level else node.module
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if name in modules() else str(base)


def docstrings(path: Path) -> set[ast.Constant]:
    """The strings that stand alone as a statement: of modules, classes, functions, attributes."""
    return {
        node.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
