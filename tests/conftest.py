"""What every test is held to: no unexpected warning; no task, thread or open file left behind.

A test that provokes a warning says so through the `expected_logs` fixture; one that asks for
`caplog` looks at the log itself and is left alone.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from tests.support import leaks
from tests.support.logs import ExpectedLogs

PASSED = pytest.StashKey[bool]()

ALONE = "tests/soak/"
"""What keeps the whole machine busy: beside it no other worker runs a test."""

LONG = (ALONE, "tests/system/", "tests/docs/", "tests/hammer/", "tests/web/", "tests/sim/")
"""What takes long comes first, in this order: no worker should be left with it in the end."""

# On shared cores any one example may be slow; what hangs is ended by pytest-timeout. hypothesis
# has chosen its own profile, also without a deadline, when the environment says CI.
settings.register_profile("zchat", deadline=None)
if settings.get_current_profile_name() != "ci":
    settings.load_profile("zchat")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers for the whole suite, most of which waits; none for tests that were chosen.

    So chosen ones can be stopped at in a debugger, and what they print is seen as it comes.
    """
    return 0 if config.args_source is pytest.Config.ArgsSource.ARGS else 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long, where tests run in several workers."""
    if hasattr(config, "workerinput"):
        ranks = (*LONG, "")
        items.sort(key=lambda item: [item.nodeid.startswith(rank) for rank in ranks].index(True))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Of several workers, the one with a test of ALONE waits until it has the machine to itself."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with Path(__file__).open() as turn:  # a lock needs some file that all workers have
        fcntl.flock(turn, fcntl.LOCK_EX if item.nodeid.startswith(ALONE) else fcntl.LOCK_SH)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test itself passed: what a failed test leaves behind is no news."""
    report = yield
    # Workers send reports as UTF-8, and a test may have logged half a surrogate pair.
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    if call.when == "call":
        item.stash[PASSED] = report.passed
    return report


def _fail_with(request: pytest.FixtureRequest, problems: list[str]) -> None:
    if problems and request.node.stash.get(PASSED, False):
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture(autouse=True)
def expected_logs(request: pytest.FixtureRequest) -> Iterator[ExpectedLogs]:
    """Fail a test during which zchat logged a warning or worse that the test did not expect."""
    logs = ExpectedLogs()
    with logs.watching():
        yield logs
    if "caplog" not in request.fixturenames:
        _fail_with(request, logs.problems())


@pytest.fixture(autouse=True)
def _no_leaked_files(request: pytest.FixtureRequest, expected_logs: ExpectedLogs) -> Iterator[None]:
    """Fail a test that leaves file descriptors open, or a thread running.

    Set up among the first and torn down among the last: by then all fixtures of the test had
    their chance to close what they opened, and its event loop is closed as well.
    """
    before, threads = leaks.open_files(), set(threading.enumerate())
    yield
    _fail_with(request, leaks.leaked_threads(threads) + leaks.leaked_files(before))


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest, _no_leaked_files: None) -> None:
    """Ask for the check of tasks where there is an event loop to look at."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("_no_leaked_tasks")


@pytest.fixture
async def _no_leaked_tasks(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that leaves tasks running in its event loop."""
    yield
    _fail_with(request, await leaks.leaked_tasks())
