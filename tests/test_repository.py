"""What holds for all files of the project, and no linter looks after."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.sources import ROOT, docstrings, modules, tree

PICTURES = {".png", ".ico", ".woff2"}
DOCUMENTED = 0.85
MAY_PRINT = ("zchat/ops/cli",)
"""What talks to a person at a terminal; all else logs."""

REGISTRIES = tuple(".".join(host) for host in (("pypi", "org"), ("pythonhosted", "org")))
REGISTRIES += tuple(".".join(host) for host in (("npmjs", "org"), ("npmjs", "com")))
REGISTRIES += tuple(".".join(host) for host in (("debian", "org"), ("crates", "io")))
"""Hosts of package registries, written so that this file passes its own test."""


@cache
def files() -> tuple[Path, ...]:
    """The files that a person wrote: what git tracks, or would."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in sorted(listed.split("\0")) if name)
    return tuple(path for path in paths if path.suffix not in PICTURES and path.is_file())


def shown(path: Path) -> str:
    """The path as a person at the project's folder writes it."""
    return str(path.relative_to(ROOT))


def test_no_registry_is_named() -> None:
    texts = {shown(path): path.read_text(encoding="utf-8") for path in files()}
    found = [(name, host) for name, text in texts.items() for host in REGISTRIES if host in text]
    assert found == []


def test_no_bare_except() -> None:
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in files()
        if path.suffix == ".py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert found == []


def test_only_the_command_line_prints() -> None:
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in modules().values()
        if not shown(path).startswith(MAY_PRINT)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert found == []


def public_definitions(path: Path) -> Iterator[tuple[str, bool]]:
    """Public classes, functions and methods, as (where and what, whether documented)."""
    documented = {text.lineno for text in docstrings(path)}
    todo: list[ast.Module | ast.ClassDef] = [tree(path)]
    while todo:
        for node in todo.pop().body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if node.name.startswith("_"):
                    continue
                yield f"{shown(path)}:{node.lineno} {node.name}", node.body[0].lineno in documented
                if isinstance(node, ast.ClassDef):
                    todo.append(node)


def test_public_names_are_documented() -> None:
    found = [item for path in modules().values() for item in public_definitions(path)]
    missing = [what for what, documented in found if not documented]
    assert len(missing) <= (1 - DOCUMENTED) * len(found), "\n".join(missing)


def test_links_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", target)
    ]
    broken = [f"{shown(page)}: {link}" for page, link in links if not (page.parent / link).exists()]
    assert broken == []
