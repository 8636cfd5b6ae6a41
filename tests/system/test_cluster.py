"""The whole cluster as its operator runs it: real processes under a real supervisord."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.person import Person
from tests.support.supervised import START, Supervised
from tests.support.timing import MS, eventually
from zchat import RequestError, Unavailable
from zchat.client import Client, Disconnected

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def project() -> AsyncIterator[Supervised]:
    # Not pytest's own folder: its path may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="zchat test ", dir="/tmp"))
    project = Supervised(folder)
    try:
        await project.start()
        yield project
    finally:
        await project.stop()
        shutil.rmtree(folder)


async def enter(client: Client) -> None:
    """Log in, on every connection anew; a name that is still taken is tried again."""
    body = {"username": client.uid, "rid": "lobby"}
    answer = await client.request("connector.entryHandler.enter", body)
    if "users" not in answer:
        raise Unavailable(str(answer))


async def hears(listener: Person, speaker: Person, text: str) -> None:
    """The speaker says something until the listener, who may be away for a moment, has it."""
    for _ in range(50):
        await eventually(lambda: speaker.client.state.value == "online", START)
        try:
            await speaker.say(text)
            await eventually(lambda: text in listener.texts, 500 * MS)
        except (Disconnected, RequestError, AssertionError):
            continue
        return
    raise AssertionError(f"{listener.name} never heard {text!r}")


async def test_people_talk_while_processes_are_killed(project: Supervised) -> None:
    alice = await project.connect("alice", log_in=enter)
    bob = await project.connect("bob", log_in=enter)
    await hears(bob, alice, "hello")
    before = await project.pids()
    for server_id in ("chat-server-1", "chat-server-2", "connector-server-1", "connector-server-2"):
        await project.kill(server_id)
        await hears(bob, alice, f"after {server_id}")
        await hears(alice, bob, f"{server_id} is back")
    await project.up()
    after = await project.pids()
    assert len(after) == 6
    same = {server_id for server_id in before if before[server_id] == after[server_id]}
    assert same == {"gate-server-1", "web-server-1"}
    await alice.close()
    await bob.close()
    assert "Traceback" not in project.logs()


async def test_lines_are_added_to_and_taken_out_of_servers_json(project: Supervised) -> None:
    alice = await project.connect("alice", log_in=enter)
    bob = await project.connect("bob", log_in=enter)
    before = await project.pids()

    project.add("connector")
    project.add("chat")
    project.write()
    said = await project.ctl("update")
    assert "connector-server-3: added process group" in said
    assert "chat-server-3: added process group" in said
    await project.up()
    await has_worker(project, 3)
    after = await project.pids()
    assert {server_id: after[server_id] for server_id in before} == before
    await hears(bob, alice, "three of each")
    await reaches_connector(project, "connector-server-3")

    project.lines["connector"].pop()
    project.lines["chat"].pop()
    project.write()
    said = await project.ctl("update")
    assert "chat-server-3: removed process group" in said
    assert await project.pids() == before
    await hears(bob, alice, "two again")
    assert alice.pushes["onLeave"] == bob.pushes["onLeave"] == []
    await alice.close()
    await bob.close()


async def has_worker(project: Supervised, count: int) -> None:
    """Wait until every server's ring has so many workers."""
    for _ in range(100):
        status = [answer for answer in await project.status() if answer["type"] != "web"]
        if all(len(answer["ring"]) == count for answer in status):
            return
    raise AssertionError(await project.status())


async def reaches_connector(project: Supervised, server_id: str) -> None:
    """New people come to the connector, by the gate's choice."""
    people = [await project.connect(f"person{number}") for number in range(40)]
    status = {answer["id"]: answer for answer in await project.status()}
    assert status[server_id]["sessions"] > 0
    for person in people:
        await person.close()


async def test_a_broken_servers_json_changes_nothing(project: Supervised) -> None:
    before = await project.pids()
    project.write('{"development": {"chat": [}}')
    assert "servers.json" in await project.ctl("update")
    assert await project.pids() == before
    alice = await project.connect("alice", log_in=enter)
    assert "offset" in await alice.say("all is well")
    await alice.close()
    await eventually(lambda: "the servers known so far stay" in project.logs(), 5000 * MS)


async def test_stop_start_and_restart(project: Supervised) -> None:
    assert "gate-server-1: stopped" in await project.ctl("stop", "all")
    assert await project.pids() == {}
    assert "gate-server-1: started" in await project.ctl("start", "all")
    await project.up()
    before = await project.pids()
    await project.ctl("restart", "connector-server-1")
    after = await project.pids()
    assert {name for name in before if before[name] != after[name]} == {"connector-server-1"}
    assert "exited: " not in (project.folder / "logs" / "supervisord.log").read_text()
