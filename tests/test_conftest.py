"""The checks of conftest.py find what they are for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SUSPECTS = """
import asyncio, logging, os, socket, threading

# What zchat's code logs comes from its files; this file stands for one of them.
log = logging.getLogger("zchat.cluster")
kept = []


def test_good_sync():
    socket.socket().close()


async def test_good_async():
    task = asyncio.create_task(asyncio.sleep(10))
    task.cancel()


def test_good_expected(expected_logs):
    expected_logs("zchat", "peer .* lost")
    log.warning("peer %s lost", "chat-server-1")


def test_good_caplog(caplog):
    log.warning("seen")
    assert caplog.messages == ["seen"]


def test_good_info():
    log.info("started")


def test_bad_log():
    log.warning("queue full")


def test_bad_expectation(expected_logs):
    expected_logs("zchat.cluster", "lost")


def test_bad_other_logger(expected_logs):
    expected_logs("zchat.app", "lost")
    log.warning("lost")


async def test_bad_task():
    kept.append(asyncio.create_task(asyncio.sleep(10)))


def test_bad_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_bad_socket():
    kept.append(socket.socket())


async def test_bad_listener():
    kept.append(socket.create_server(("127.0.0.1", 0)))


def test_bad_pipe():
    kept.append(os.pipe())


def test_failure_only_fails():
    kept.append(socket.socket())
    raise AssertionError("once is enough")
"""


@pytest.fixture
def checked(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder whose tests are held to the same."""
    monkeypatch.setenv("ZCHAT_TEST_SCALE", "0.05")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    return pytester


@pytest.mark.parametrize(("workers", "shown"), [("2", "2 workers"), ("auto", "collected 1 item")])
def test_in_workers_and_without(checked: pytest.Pytester, workers: str, shown: str) -> None:
    """Half a surrogate pair in a log goes to the controller like any text."""
    checked.makepyfile(
        test_half='import logging\n\n\ndef test_log():\n    logging.warning("half: \\ud800")\n'
    )
    result = checked.runpytest_subprocess("-p", "no:cacheprovider", "-n", workers, "test_half.py")
    result.assert_outcomes(passed=1)
    assert shown in result.stdout.str()


def test_suspects(checked: pytest.Pytester) -> None:
    checked.makepyfile(test_suspects=SUSPECTS)
    result = checked.runpytest_subprocess("-p", "no:cacheprovider", "-rE")
    text = result.stdout.str()
    errors = {line.split()[1].split("::")[1] for line in text.splitlines() if "ERROR test" in line}
    assert errors == {
        "test_bad_log",
        "test_bad_expectation",
        "test_bad_other_logger",
        "test_bad_task",
        "test_bad_thread",
        "test_bad_socket",
        "test_bad_listener",
        "test_bad_pipe",
    }
    result.assert_outcomes(passed=13, failed=1, errors=8)
    assert "unexpected: WARNING zchat.cluster: queue full" in text
    assert "AF_INET bound to ('127.0.0.1'," in text
