"""People talk."""

from zchat.testing import Cluster, RecordingClient

ENTER = "connector.entryHandler.enter"
SEND = "chat.chatHandler.send"


async def enter(cluster: Cluster, name: str, room: str) -> RecordingClient:
    client = await cluster.connect(name)
    await client.expect_response(ENTER, {"username": name, "rid": room})
    return client


async def test_what_one_says_the_other_reads(cluster: Cluster) -> None:
    ann, bo = [await enter(cluster, name, "pier") for name in ("ann", "bo")]
    assert (await ann.expect_push("onAdd"))["user"] == "bo"
    await ann.expect_response(SEND, {"content": "hello", "target": "*"})
    for person in (ann, bo):
        said = await person.expect_push("onChat")
        assert (said["from"], said["msg"]) == ("ann", "hello")


async def test_nothing_is_lost_when_a_server_dies(cluster: Cluster) -> None:
    ann = await enter(cluster, "ann", "pier")
    await ann.expect_response(SEND, {"content": "before", "target": "*"})
    owner = cluster.owner_of("pier")
    await cluster.kill(owner)
    await cluster.start(owner)
    await ann.expect_response(SEND, {"content": "after", "target": "*"})
    assert [(await ann.expect_push("onChat"))["msg"] for _ in range(2)] == ["before", "after"]
