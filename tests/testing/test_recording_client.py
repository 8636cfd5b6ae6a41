"""What a test says it expects, and what it is told when that does not happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.timing import MS, eventually
from zchat.client import Disconnected
from zchat.testing.cluster import Cluster
from zchat.testing.recording_client import RecordingClient

ENTER = "connector.entryHandler.enter"
SEND = "chat.chatHandler.send"
SHORT = 50 * MS


@pytest.fixture
async def cluster(talk: Path, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster.of_project(talk, tmp_path / "own") as cluster:
        yield cluster


async def enter(cluster: Cluster, name: str) -> RecordingClient:
    client = await cluster.connect(name)
    await client.expect_response(ENTER, {"username": name, "rid": "pier"})
    return client


async def test_pushes_are_expected_in_their_order(cluster: Cluster) -> None:
    ann = await enter(cluster, "ann")
    for text in ("one", "two"):
        await ann.expect_response(SEND, {"content": text, "target": "*"})
    assert (await ann.expect_push("onChat"))["msg"] == "one"
    assert (await ann.expect_push("onChat"))["msg"] == "two"
    await ann.expect_no_push("onChat", SHORT)
    assert [push["msg"] for push in ann.pushes_on("onChat")] == ["one", "two"]
    assert [route for route, _ in ann.pushes] == ["onChat", "onChat"]


async def test_a_push_may_be_yet_to_come(cluster: Cluster) -> None:
    ann = await enter(cluster, "ann")
    bo = await enter(cluster, "bo")
    assert (await ann.expect_push("onAdd"))["user"] == "bo"
    await bo.close()
    assert (await ann.expect_push("onLeave"))["user"] == "bo"  # once the grace is over


async def test_a_push_that_does_not_come(cluster: Cluster) -> None:
    ann = await enter(cluster, "ann")
    with pytest.raises(AssertionError, match=r"no push on onChat within \S+ s; nothing was pushed"):
        await ann.expect_push("onChat", SHORT)
    await ann.expect_response(SEND, {"content": "hello", "target": "*"})
    with pytest.raises(AssertionError, match=r"of 1 pushes the last ones are: onChat \{.*'hello'"):
        await ann.expect_push("onElse", SHORT)
    assert (await ann.expect_push("onChat"))["msg"] == "hello"  # it was not lost on the way


async def test_a_push_that_should_not_come(cluster: Cluster) -> None:
    ann = await enter(cluster, "ann")
    await ann.expect_response(SEND, {"content": "hello", "target": "*"})
    await eventually(lambda: ann.pushes)
    with pytest.raises(AssertionError, match=r"expected no push on onChat, found \{.*'hello'"):
        await ann.expect_no_push("onChat", SHORT)


async def test_answers(cluster: Cluster) -> None:
    ann = await cluster.connect("ann")
    refused = await ann.expect_response(ENTER, {"username": "", "rid": "pier"}, code=400)
    assert refused["path"] == "username"
    with pytest.raises(AssertionError, match=rf"{ENTER}: expected code 200, found \{{'code': 400"):
        await ann.expect_response(ENTER, {"username": "", "rid": "pier"})
    with pytest.raises(AssertionError, match="expected code 400, found"):
        await ann.expect_response(ENTER, {"username": "ann", "rid": "pier"}, code=400)
    assert (await ann.request(ENTER, {"username": "", "rid": "pier"}))["code"] == 400


async def test_what_has_no_answer(cluster: Cluster) -> None:
    ann = await enter(cluster, "ann")
    await ann.notify(SEND, {"content": "hello", "target": "*"})
    assert (await ann.expect_push("onChat"))["msg"] == "hello"


async def test_the_end_of_a_connection(cluster: Cluster) -> None:
    ann = await cluster.connect("ann", "connector-server-1")
    with pytest.raises(AssertionError, match="ann is still connected"):
        await ann.expect_end(SHORT)
    await cluster.kill("connector-server-1")
    assert (await ann.expect_end()).reason
    with pytest.raises(Disconnected):
        await ann.notify(SEND)


async def test_closing_twice(cluster: Cluster) -> None:
    ann = await cluster.connect("ann")
    await ann.close()
    await ann.close()
