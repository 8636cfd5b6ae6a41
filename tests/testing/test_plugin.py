"""The plugin in a pytest of its own, as authors run it in their projects."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOT
from zchat.ops.init import create

PYTEST = str(Path(sys.executable).with_name("pytest"))
"""As authors type it: unlike `python -m pytest` it finds no module in the folder by itself."""


def run(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and what is printed."""
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("chat", [False, True])
def test_a_new_projects_tests_pass(tmp_path: Path, chat: bool) -> None:
    create(tmp_path, chat=chat)
    code, said = run(tmp_path, PYTEST, "-W", "error")
    assert code == 0, said
    assert f"{1 + chat} passed" in said


def test_a_handler_that_answers_something_else_fails_its_test(tmp_path: Path) -> None:
    create(tmp_path)
    handler = tmp_path / "servers" / "connector" / "handler" / "entry_handler.py"
    handler.write_text(handler.read_text().replace("is ok.", "is tired."))
    code, said = run(tmp_path, PYTEST)
    assert code == 1, said
    assert "game server is tired." in said


def test_a_broken_project_is_an_error_that_says_why(tmp_path: Path) -> None:
    create(tmp_path)
    (tmp_path / "config" / "servers.json").write_text("{")
    code, said = run(tmp_path, PYTEST)
    assert code == 1
    assert "ConfigError" in said
    assert "config/servers.json:1" in said


def test_the_project_may_be_another_folder(tmp_path: Path) -> None:
    create(tmp_path / "game")
    (tmp_path / "game" / "tests").rename(tmp_path / "tests")
    ini = (tmp_path / "game" / "pytest.ini").read_text()
    (tmp_path / "game" / "pytest.ini").unlink()
    (tmp_path / "pytest.ini").write_text(ini + "zchat_project = game\n")
    code, said = run(tmp_path, PYTEST)
    assert code == 0, said


def test_each_test_has_a_cluster_of_its_own(tmp_path: Path) -> None:
    create(tmp_path, chat=True)
    (tmp_path / "tests" / "test_twice.py").write_text(
        "import pytest\n\n\n"
        "@pytest.mark.parametrize('time', [1, 2])\n"
        "async def test_nobody_was_here_before(cluster, time):\n"
        "    ann = await cluster.connect('ann')\n"
        "    body = {'username': 'ann', 'rid': 'pier'}\n"
        "    answer = await ann.expect_response('connector.entryHandler.enter', body)\n"
        "    assert answer['users'] == ['ann']\n"
        "    assert answer['position']['offset'] == 0\n"
        "    await ann.expect_response('chat.chatHandler.send', {'content': 'a', 'target': '*'})\n"
    )
    code, said = run(tmp_path, PYTEST, "tests/test_twice.py")
    assert code == 0, said


_NAMED = re.compile(r"^```python\n# (tests/\S+)\n(.*?)^```$", re.M | re.S)


def test_the_documentations_tests_pass(tmp_path: Path) -> None:
    create(tmp_path, chat=True)
    found = _NAMED.findall((ROOT / "docs" / "topics" / "testing.md").read_text())
    for name, text in found:
        (tmp_path / name).write_text(text)
    code, said = run(tmp_path, PYTEST, *(name for name, _ in found))
    assert code == 0, said
    assert f"{len(found)} passed" in said
    assert len(found) == 3


LOAD = """
import sys
{before}
import zchat.testing.plugin
print({{"zmq", "tornado", "msgspec"}} & set(sys.modules))
"""


@pytest.mark.parametrize("before", ["", "sys.modules['pytest_asyncio'] = None"])
def test_it_costs_nothing_where_it_is_not_used(tmp_path: Path, before: str) -> None:
    """pytest loads it in every project of an environment in which zchat is installed."""
    code, said = run(tmp_path, sys.executable, "-c", LOAD.format(before=before))
    assert (code, said) == (0, "set()\n")
