"""The chat proves the framework by its size."""

from __future__ import annotations

from pathlib import Path

from tests.support.sources import PACKAGE, docstrings

LIMIT = 100


def lines_of_code(path: Path) -> int:
    """All lines that are not blank, imports and comments included; docstrings are not code."""
    prose = {
        line
        for text in docstrings(path)
        for line in range(text.lineno, (text.end_lineno or text.lineno) + 1)
    }
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    return sum(1 for number, line in lines if line.strip() and number not in prose)


def test_lines_of_code(tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text('"""A\n\ndocstring."""\n\nimport os\n\n# why\nx = """a\nb"""\n\n"""Of x."""\n')
    assert lines_of_code(path) == 4


def test_the_chat_is_small() -> None:
    sizes = {
        str(path.relative_to(PACKAGE)): lines_of_code(path)
        for path in (PACKAGE / "chat").rglob("*.py")
    }
    assert sum(sizes.values()) <= LIMIT, sizes
