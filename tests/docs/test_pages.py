"""Every block of code in docs/ is run by a test, or stands here with the reason why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import blocks, pages
from tests.support.sources import ROOT

TOPICS = "tests/docs/test_topics.py"
TUTORIAL = "tests/docs/test_tutorial.py"
POMELO = "tests/docs/test_coming_from_pomelo.py"
PUBLISHING = "tests/system/test_publishing.py"
TESTING = "tests/testing/test_plugin.py"
TRANSPORTS = "tests/system/test_transports.py"
WIRE = "tests/framework/sessions/test_wire.py"

INSTALLS = "not run: it would fetch from a registry; tests/system/test_init.py installs a wheel"
PICTURE = "not run: a picture"
OUTPUT = "not run: what a log shows; tests/framework/server/test_running.py holds its steps"
TOKENS = "not run: a certificate of that name; tests/system/test_transports.py brings tokens so"
POMELOS = "not run: Pomelo's code, for comparison"

BLOCKS: dict[str, list[str]] = {
    "coming-from-pomelo.md": [POMELOS, POMELO],
    "topics/application.md": [TOPICS, OUTPUT],
    "topics/channels.md": [TOPICS] * 4,
    "topics/checking.md": [
        "not run: a running chat and 30 seconds; tests/ops/test_check.py runs the command",
        "not run: it kills servers; tests/system/test_cluster.py does",
    ],
    "topics/client.md": [TOPICS, TOPICS, "tests/examples/test_bot.py"],
    "topics/filters.md": [TOPICS, TOPICS],
    "topics/performance.md": [
        "not run: takes ten minutes, or an hour",
        "not run: what was measured",
        "not run: what was measured",
    ],
    "topics/load-testing.md": [
        "not run: a running chat; tests/ops/test_bench.py runs the command",
        "not run: what that printed; tests/ops/load/test_report.py holds its lines",
        "not run: what a busy generator says; tests/ops/load/test_report.py makes one",
    ],
    "topics/protobuf.md": [WIRE, WIRE, TOPICS],
    "topics/publishing.md": [PUBLISHING] * 3,
    "topics/rpc.md": [TOPICS] * 3,
    "topics/sessions.md": [TOPICS] * 6,
    "topics/simulation.md": ["not run: minutes of simulation; tests/sim runs the command's parts"],
    "topics/testing.md": [INSTALLS, TOPICS] + [TESTING] * 3,
    "topics/transports.md": [TOPICS] * 3 + [TRANSPORTS] * 3 + [TOKENS] * 2,
    "tutorial.md": [PICTURE, INSTALLS] + [TUTORIAL] * 21,
}
"""By page: for each block in its order the test that runs it, or why none does."""

_LINK = re.compile(r"\]\(([^)\s#]*)#([^)\s]+)\)")


def shown(page: Path) -> str:
    """As in `BLOCKS`."""
    return page.relative_to(ROOT / "docs").as_posix()


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_blocks_are_accounted_for(page: Path) -> None:
    said = BLOCKS.get(shown(page), [])
    assert len(said) == len(blocks(page))
    for where in said:
        if not where.startswith("not run: "):
            assert (ROOT / where).is_file(), where


def test_pages_exist() -> None:
    assert BLOCKS.keys() <= {shown(page) for page in pages()}


def anchors(page: Path) -> set[str]:
    """What links may end in: the headings as GitHub writes them."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_to_headings() -> None:
    links = [
        (page, page.parent / target if target else page, anchor)
        for page in [*ROOT.glob("*.md"), *pages()]
        for target, anchor in _LINK.findall(page.read_text())
        if not re.match(r"[a-z]+:", target)
    ]
    assert len(links) > 5
    for page, target, anchor in links:
        assert anchor in anchors(target), f"{shown(page)}: {target.name}#{anchor}"
