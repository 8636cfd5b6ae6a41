"""A configuration file's text, and the line on which each of its values stands.

The parsers of the standard library give values without places. An error that names the line saves
its reader the search, so the places are found here, in a second and much simpler walk over a text
that is already known to be well-formed.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zchat.errors import ConfigError

Key = tuple[str | int, ...]
"""The way to a value from the top: member names and list indexes."""

_LONG_NUMBER = "has a number of thousands of digits"
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_TOML_NAME = r"[A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*"
_TOML_HEADER = re.compile(rf"\s*\[\s*({_TOML_NAME})\s*\]")
_TOML_MEMBER = re.compile(rf"\s*({_TOML_NAME})\s*=")


@dataclass(frozen=True)
class Source:
    """A file that was read, for errors that say where."""

    path: str
    """The file as the user named it."""

    lines: dict[Key, int] = field(default_factory=dict)
    """The line (1 is the first) of each value whose place is known."""

    repeated: tuple[Key, ...] = ()
    """Members that the file gives twice."""

    def line(self, key: Key) -> int | None:
        """The line of a value, or of the nearest thing round it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key)

    def where(self, key: Key) -> str:
        """`file:line: key`, as errors and warnings begin."""
        line = self.line(key)
        place = self.path if line is None else f"{self.path}:{line}"
        return f"{place}: {_on_one_line(dotted(key))}" if key else place

    def error(self, key: Key, problem: str) -> ConfigError:
        """An error about one value, on one line of text."""
        return ConfigError(f"{self.where(key)}: {_on_one_line(problem)}")


def dotted(key: Key) -> str:
    """A key as people write it: `development.chat[1].port`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return "".join(parts).removeprefix(".")


def show(value: object) -> str:
    """A found value as it looks in a JSON file, cut short, for error texts."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 40 else text[:37] + "..."


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """The known name that a wrong one was probably meant to be."""
    plain = {_plain(candidate): candidate for candidate in sorted(known)}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def _on_one_line(text: str) -> str:
    """With escapes for what would break the line, turn it round, or be no Unicode in a log."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_json(path: str | Path) -> tuple[Any, Source]:
    """Read a JSON file.

    Raises:
        ConfigError: the file cannot be read, is not JSON, or gives one member twice.
    """
    text = _read_text(path)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid JSON: nested too deeply") from error
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise ConfigError(f"{path}: {_LONG_NUMBER}") from error
    source = _locate(path, text, _json_places)
    if source.repeated:
        raise source.error(source.repeated[0], "given twice")
    return value, source


def read_toml(path: str | Path) -> tuple[dict[str, Any], Source]:
    """Read a TOML file.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    text = _read_text(path)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        where = f"{path}:{line[1]}" if line else f"{path}:{len(text.splitlines())}"
        raise ConfigError(f"{where}: not valid TOML: {problem}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {_LONG_NUMBER}") from error
    return value, _locate(path, text, _toml_places)


def _read_text(path: str | Path) -> str:
    try:
        # utf-8-sig: some editors put a byte order mark first, which both parsers refuse.
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error


def _locate(
    path: str | Path, text: str, places: Callable[[str], Iterator[tuple[Key, int]]]
) -> Source:
    lines: dict[Key, int] = {}
    repeated: list[Key] = []
    line, counted = 1, 0
    for key, offset in places(text):
        line += text.count("\n", counted, offset)
        counted = offset
        if key in lines:
            repeated.append(key)
        lines[key] = line
    return Source(str(path), lines, tuple(repeated))


def _json_places(text: str) -> Iterator[tuple[Key, int]]:
    """Each member and list element of valid JSON with its offset, in the order of the text."""
    at: list[str | int] = []  # for each open container, what is being read in it
    latest: re.Match[str] | None = None
    for token in _JSON_TOKEN.finditer(text):
        match token[0]:
            case ":":
                assert latest is not None, "a colon follows a string in valid JSON"
                at[-1] = json.loads(latest[0])
                yield tuple(at), latest.start()
                continue
            case ",":
                if isinstance(at[-1], int):
                    at[-1] += 1
                continue
            case "}" | "]":
                at.pop()
                continue
        if at and isinstance(at[-1], int):
            yield tuple(at), token.start()
        if token[0] in "{[":
            at.append("" if token[0] == "{" else 0)
        latest = token


def _toml_places(text: str) -> Iterator[tuple[Key, int]]:
    """Each table header and `name =` line of TOML with its offset.

    Good enough for a file of settings: names in quotes and inside inline tables are not found, and
    errors about those name the line of what is round them.
    """
    table: Key = ()
    offset = 0
    seen: set[Key] = set()
    for line in text.splitlines(keepends=True):
        key: Key | None = None
        if header := _TOML_HEADER.match(line):
            key = table = _names(header[1])
        elif member := _TOML_MEMBER.match(line):
            key = table + _names(member[1])
        if key is not None and key not in seen:
            seen.add(key)
            yield key, offset
        offset += len(line)


def _names(dotted_name: str) -> Key:
    return tuple(part.strip() for part in dotted_name.split("."))
