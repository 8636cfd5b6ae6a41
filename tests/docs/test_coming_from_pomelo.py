"""docs/coming-from-pomelo.md keeps its word: what it says is there is, and a test shows it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.sources import ROOT, tree
from zchat import Application
from zchat.chat.app import app as chat
from zchat.config.settings import Settings
from zchat.testing import Cluster, lines_of, quick

PAGE = (ROOT / "docs" / "coming-from-pomelo.md").read_text()
FIGURES = Settings()
_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
_ABSENT = ("**not yet**", "**left out**")
_CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Row:
    """A line of one of the page's tables."""

    pomelo: str
    here: str
    test: str


def rows() -> Iterator[Row]:
    """All lines of all tables, their heads left out."""
    tables = re.findall(r"^\|.*\| test \|\n\|---\|---\|---\|\n((?:\|.*\|\n)+)", PAGE, re.M)
    for line in "".join(tables).splitlines():
        yield Row(*(cell.strip() for cell in _CELLS.split(line)[1:-1]))


ROWS = list(rows())


@cache
def functions_of(path: Path) -> frozenset[str]:
    """The names of a file's functions, those in classes too."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree(path)) if isinstance(node, kinds))


def test_every_line_of_a_table_is_a_row() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    heads = [line for line in lines if line.endswith("| test |")]
    assert len(ROWS) == len(lines) - 2 * len(heads)
    assert len(heads) >= 15
    assert len(ROWS) >= 200


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pomelo)
def test_a_row_names_its_tests_or_says_why_not(row: Row) -> None:
    assert row.pomelo
    assert row.here
    if row.test in _ABSENT:
        return
    named = _TEST.findall(row.test)
    assert row.test == ", ".join(f"`{path}::{name}`" for path, name in named), row.test
    for path, name in named:
        assert (ROOT / "tests" / path).is_file(), path
        assert name in functions_of(ROOT / "tests" / path), f"{path} has no {name}"


def test_words_of_the_application_are_its_words() -> None:
    said = {word for row in ROWS for word in re.findall(r"`app\.(?!py\b)(\w+)", row.here)}
    known = {*dir(Application), *vars(Application(__file__))}
    assert len(said) > 20
    assert said <= known


def test_settings_have_the_keys_that_are_named() -> None:
    said = re.findall(r"`(client|limits|cluster|rooms|journal|logs)\.(\w+)`", PAGE)
    assert len(said) >= 8
    assert [f"{part}.{key}" for part, key in said if not hasattr(getattr(FIGURES, part), key)] == []


def test_the_handler_is_one(tmp_path: Path) -> None:
    ((name, code),) = re.findall(r"^```python\n# (servers/\S+)\n(.*?)^```$", PAGE, re.M | re.S)
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(code)
    (found,) = Application(str(tmp_path / "app.py")).handlers()
    assert str(found.route) == "chat.chatHandler.send"


async def test_a_gate_without_connectors_says_so(tmp_path: Path) -> None:
    lines = lines_of({"gate": 1, "chat": 1})
    async with Cluster(chat, lines, tmp_path, quick(FIGURES)) as cluster:
        client = await cluster.connect("ann", "gate-server-1")
        await client.expect_response("gate.gateHandler.queryEntry", {"uid": "ann"}, code=500)
