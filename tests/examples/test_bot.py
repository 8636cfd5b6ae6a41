"""examples/bot.py in the chat."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.person import Person
from tests.support.timing import eventually

BOT = Path(__file__).parents[2] / "examples" / "bot.py"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1}) as cluster:
        yield cluster


@contextmanager
def bot(cluster: Cluster, memory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The bot, as the process that its docstring starts; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, str(BOT), cluster.url(), "pier", "--memory", str(memory)]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said_by_bot(person: Person) -> list[str]:
    return [body["msg"] for body in person.pushes["onChat"] if body["from"] == "bot"]


async def test_it_greets_answers_and_survives(cluster: Cluster, tmp_path: Path) -> None:
    memory = tmp_path / "bot.json"
    ann = await cluster.enter("ann", "pier")
    with bot(cluster, memory):
        await eventually(lambda: any(body["user"] == "bot" for body in ann.pushes["onAdd"]))
        bob = await cluster.enter("bob", "pier")
        await eventually(lambda: said_by_bot(bob) == ["Welcome, bob! Say my name, and I answer."])
        await ann.say("hello bot")
        await eventually(lambda: said_by_bot(ann) == ["ann, you said: hello bot"])
        await cluster.kill("chat-server-1")
        await cluster.start("chat-server-1")
        await cluster.settled()
        await ann.say("bot, are you back?")
        await eventually(lambda: len(said_by_bot(ann)) == 2)
        await eventually(lambda: json.loads(memory.read_text())["offset"] == 4)
    await eventually(lambda: any(body["user"] == "bot" for body in ann.pushes["onLeave"]))
    await ann.say("bot, where are you?")
    with bot(cluster, memory):
        await eventually(lambda: len(said_by_bot(ann)) == 3)
        await ann.say("bot!")
        await eventually(lambda: len(said_by_bot(ann)) == 4)
    assert said_by_bot(ann)[2:] == ["ann, you said: bot, where are you?", "ann, you said: bot!"]


async def test_what_was_answered_is_not_answered_again(cluster: Cluster, tmp_path: Path) -> None:
    memory = tmp_path / "bot.json"
    ann = await cluster.enter("ann", "pier")
    before = await ann.say("good morning")
    start = json.dumps({"epoch": before["epoch"], "offset": before["offset"]})
    await ann.say("bot?")
    for _ in range(2):  # its second life has forgotten that it had answered
        memory.write_text(start)
        with bot(cluster, memory):
            await eventually(lambda: memory.read_text() != start)
        await asyncio.to_thread(memory.unlink)
        await eventually(lambda: "bot" not in running_members(cluster))
    assert said_by_bot(ann) == ["ann, you said: bot?"]


def running_members(cluster: Cluster) -> list[str]:
    owner = cluster.running["chat-server-1"].owner
    assert owner is not None
    return owner.host.channels["pier"].presence.uids()


async def test_who_is_kicked_stays_away(cluster: Cluster, tmp_path: Path) -> None:
    ann = await cluster.enter("ann", "pier")
    with bot(cluster, tmp_path / "bot.json") as process:
        await eventually(lambda: any(body["user"] == "bot" for body in ann.pushes["onAdd"]))
        assert await cluster.running["chat-server-1"].sessions.kick("bot") == 1
        assert await asyncio.to_thread(process.wait, 10) == 0
