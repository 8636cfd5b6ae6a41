"""The blocks of code in the documentation, and a way to run a piece of one."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

from tests.support.sources import ROOT

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def pages() -> list[Path]:
    """All pages below docs/."""
    return sorted((ROOT / "docs").rglob("*.md"))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Each block of a page: its language, empty without one, and its text."""
    return _BLOCK.findall(page.read_text())


def blocks_of(name: str, wanted: str) -> list[str]:
    """The blocks in one language of a page of docs/topics/."""
    found = blocks(ROOT / "docs" / "topics" / f"{name}.md")
    return [text for language, text in found if language == wanted]


def python_of(name: str) -> list[str]:
    """The Python blocks of a page of docs/topics/."""
    return blocks_of(name, "python")


async def run(code: str, **names: Any) -> dict[str, Any]:
    """Run a block that may `await` as handlers do; returns the names that it leaves.

    Args:
        code: the block.
        names: what the page has introduced before it.
    """
    compiled = compile(code, "docs", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    space: dict[str, Any] = {"__name__": "docs", **names}
    result = eval(compiled, space)
    if inspect.iscoroutine(result):
        await result
    return space
