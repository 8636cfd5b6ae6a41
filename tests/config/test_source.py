"""Places in configuration files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.config.source import Source, dotted, near_miss, read_json, read_toml, show
from zchat.errors import ConfigError


def written(tmp_path: Path, text: str, name: str = "file.json") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_each_json_value_has_its_line(tmp_path: Path) -> None:
    text = '{\n "a": [\n  {"x":\n 1},\n  [2,\n 3],\n "s"],\n "b\\"{": null\n}'
    value, source = read_json(written(tmp_path, text))
    assert value == json.loads(text)
    assert source.lines == {
        ("a",): 2,
        ("a", 0): 3,
        ("a", 0, "x"): 3,
        ("a", 1): 5,
        ("a", 1, 0): 5,
        ("a", 1, 1): 6,
        ("a", 2): 7,
        ('b"{',): 8,
    }


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_every_member_of_any_json_is_found(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    read, source = read_json(written(tmp_path_factory.mktemp("json"), text))
    assert read == value
    lines = text.split("\n")
    for key, line in source.lines.items():
        part = value
        for step in key:
            part = part[step]
        name = "" if isinstance(key[-1], int) else json.dumps(key[-1], ensure_ascii=False) + ": "
        begin = json.dumps(part, indent=1, ensure_ascii=False).split("\n")[0]
        assert lines[line - 1].strip().removesuffix(",") == name + begin
    assert len(source.lines) == _members(value)


def _members(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(inner) + sum(map(_members, inner))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1,\n "b": }', 2),
        ("", 1),
        ('{"a": 1\n\n', 3),
        ("{'a': 1}", 1),
    ],
)
def test_bad_json_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}:{line}: not valid JSON: ")
    assert "\n" not in str(caught.value)


def test_json_nested_too_deeply(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_json(written(tmp_path, "[" * 100_000))


@pytest.mark.parametrize(("text", "read"), [('{"a": %s}', read_json), ("a = %s", read_toml)])
def test_numbers_that_python_does_not_read(
    tmp_path: Path, text: str, read: Callable[[Path], Any]
) -> None:
    with pytest.raises(ConfigError, match=r"file\.json: has a number of thousands of digits"):
        read(written(tmp_path, text % ("9" * 5_000)))


def test_toml_nested_too_deeply(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_toml(written(tmp_path, "a = " + "[" * 5_000 + "]" * 5_000))


def test_a_member_given_twice_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, '{"d": {"chat": [],\n"web": [],\n"chat": []}}')
    with pytest.raises(ConfigError) as caught:
        read_json(path)
    assert str(caught.value) == f"{path}:3: d.chat: given twice"


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "bom"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_json(path)[0] == {}
    assert read_toml(written(tmp_path, "", "empty"))[0] == {}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_json(tmp_path / "missing.json")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_toml(tmp_path)
    latin = tmp_path / "latin"
    latin.write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_json(latin)


def test_each_toml_key_has_its_line(tmp_path: Path) -> None:
    text = "# head\ntop.inner = 1\n[ one ]\na = 2\n\nb.c = 3\n[two.three] # more\nd = [\n 4]\n"
    value, source = read_toml(written(tmp_path, text))
    assert value["two"]["three"]["d"] == [4]
    assert source.lines == {
        ("top", "inner"): 2,
        ("one",): 3,
        ("one", "a"): 4,
        ("one", "b", "c"): 6,
        ("two", "three"): 7,
        ("two", "three", "d"): 8,
    }


@pytest.mark.parametrize(
    ("text", "line"), [("a = 1\nb = \n", 2), ("a = 1\na = 2\n", 2), ('[x]\na = "open', 2)]
)
def test_bad_toml_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}:{line}: not valid TOML: ")


def test_an_error_names_the_nearest_known_line() -> None:
    source = Source("f", {("a",): 1, ("a", 0): 7})
    assert str(source.error(("a", 0, "b"), "wrong")) == "f:7: a[0].b: wrong"
    assert str(source.error(("z",), "wrong")) == "f: z: wrong"
    assert str(source.error((), "wrong")) == "f: wrong"


def test_dotted_and_show() -> None:
    assert dotted(("development", "chat", 1, "port")) == "development.chat[1].port"
    assert show("é\n") == '"é\\n"'
    assert show([1] * 100) == "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ..."


def test_what_is_found_cannot_break_the_text_of_an_error() -> None:
    error = Source("f.json").error(("a\nb", "\ud800"), f"found {show(chr(0x202E) + '中')}")
    assert str(error) == 'f.json: a\\nb.\\ud800: found "\\u202e中"'
    assert show(16**9_000) == "a number of thousands of digits"


def test_near_misses() -> None:
    known = ["clientHost", "max-connections", "port"]
    assert near_miss("client_host", known) == "clientHost"
    assert near_miss("maxConnections", known) == "max-connections"
    assert near_miss("ports", known) == "port"
    assert near_miss("colour", known) is None
