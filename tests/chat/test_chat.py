"""The chat, from its clients' side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.person import Person
from tests.support.timing import eventually

ENTER = "connector.entryHandler.enter"
SEND = "chat.chatHandler.send"
SWITCH = "connector.entryHandler.switchRoom"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


async def test_a_message_reaches_everybody_and_its_sender(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
    assert "offset" in await alice.say("hello")
    for person in (alice, bob):
        push = await person.expect("onChat")
        assert (push["msg"], push["from"], push["target"]) == ("hello", "alice", "*")
        assert push["offset"] == 1


async def test_who_comes_gets_the_list_and_the_others_are_told(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.connect("bob", connector=1)
    assert await bob.enter("lobby") == ["alice", "bob"]
    assert await alice.expect("onAdd") == {"route": "onAdd", "user": "bob"}
    await bob.say("hi")
    await bob.expect("onChat")
    assert bob.pushes["onAdd"] == []  # nobody is told of themselves


async def test_who_asks_for_differences_is_told_of_a_crowd_in_few_pushes(
    cluster: Cluster,
) -> None:
    """A crowd of stock clients costs each of them a push per person, and us one per moment."""
    alice, bob = await cluster.enter_all(["alice", "bob"], "lobby")
    zoe = await cluster.connect("zoe", connector=1)
    zoe.listen("onPresence")
    answer = await zoe.request(ENTER, {"username": "zoe", "rid": "lobby", "presence": "diff"})
    assert answer["users"] == ["alice", "bob", "zoe"]
    crowd = [await cluster.connect(f"p{number}") for number in range(20)]
    lists = await asyncio.gather(*(person.enter("lobby") for person in crowd))
    names = {person.name for person in crowd}

    def heard(what: str) -> list[str]:
        return [uid for push in zoe.pushes["onPresence"] for uid in push[what]]

    await eventually(lambda: len(heard("joined")) == len(names))
    assert set(heard("joined")) == names
    assert len(zoe.pushes["onPresence"]) < len(names) / 2
    assert zoe.pushes["onAdd"] == []
    await eventually(lambda: {push["user"] for push in bob.pushes["onAdd"]} >= names)
    everybody = {"alice", "bob", "zoe", *names}
    for person, users in zip(crowd, lists, strict=True):
        await eventually(lambda p=person, u=users: {*u, *added(p)} == everybody)  # type: ignore[misc]
        assert len(users) + len(added(person)) == len(everybody), "nobody twice"
    await alice.close()
    await eventually(lambda: heard("left") == ["alice"])


def added(person: Person) -> list[str]:
    return [push["user"] for push in person.pushes["onAdd"]]


async def test_a_wish_that_nobody_knows_is_refused(cluster: Cluster) -> None:
    person = await cluster.connect("alice", connector=0)
    answer = await person.request(ENTER, {"username": "alice", "rid": "a", "presence": "all"})
    assert (answer["code"], answer["path"]) == (400, "presence")


async def test_who_goes_is_told_to_the_others(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
    await bob.close()
    assert await alice.expect("onLeave") == {"route": "onLeave", "user": "bob"}
    again = await cluster.connect("bob", connector=0)
    assert await again.enter("lobby") == ["alice", "bob"]


async def test_a_message_to_one_is_for_that_one_alone(cluster: Cluster) -> None:
    alice, bob, carol = await cluster.enter_all(["alice", "bob", "carol"], "lobby")
    assert "offset" in await alice.say("secret", "bob")
    assert "offset" in await alice.say("for all")
    assert await bob.heard(2) == ["secret", "for all"]
    assert await carol.heard(1) == ["for all"]
    assert await alice.heard(1) == ["for all"]
    assert "offset" in await alice.say("to myself", "alice")
    assert await alice.heard(2) == ["for all", "to myself"]


@pytest.mark.parametrize("connector", [0, 1])
async def test_a_name_is_taken_on_any_connector(cluster: Cluster, connector: int) -> None:
    await cluster.enter("alice", "lobby", connector=0)
    other = await cluster.connect("alice", connector=connector)
    answer = await other.request(ENTER, {"username": "alice", "rid": "lobby"})
    assert answer == {"code": 500, "error": True}
    assert await other.enter("elsewhere") == ["alice"]  # another room is another list


async def test_somebody_refused_may_choose_another_name(cluster: Cluster) -> None:
    await cluster.enter("alice", "lobby")
    other = await cluster.connect("alice")
    await other.request(ENTER, {"username": "alice", "rid": "lobby"})
    other.name = "alice2"
    assert await other.enter("lobby") == ["alice", "alice2"]


async def test_rooms_are_changed_on_the_same_connection(cluster: Cluster) -> None:
    here, there = cluster.rooms_of("chat-server-1", 1)[0], cluster.rooms_of("chat-server-2", 1)[0]
    alice = await cluster.enter("alice", here, connector=0)
    bob = await cluster.enter("bob", here, connector=0)
    carol = await cluster.enter("carol", there, connector=1)
    assert (await bob.request(SWITCH, {"rid": there}))["users"] == ["carol", "bob"]
    assert await alice.expect("onLeave") == {"route": "onLeave", "user": "bob"}
    assert await carol.expect("onAdd") == {"route": "onAdd", "user": "bob"}
    await alice.say("only here")
    await alice.expect("onChat")
    await bob.say("only there")
    assert await carol.heard(1) == ["only there"]
    assert await bob.heard(1) == ["only there"]
    assert alice.texts == ["only here"]


async def test_a_refused_switch_changes_nothing(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "one")
    await cluster.enter("alice", "two")
    assert await alice.request(SWITCH, {"rid": "two"}) == {"code": 500, "error": True}
    await alice.say("still here")
    assert (await alice.expect("onChat"))["msg"] == "still here"


async def test_entering_again_leaves_no_ghost(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "one")
    bob = await cluster.enter("bob", "one")
    assert await bob.enter("two") == ["bob"]
    assert await alice.expect("onLeave") == {"route": "onLeave", "user": "bob"}
    assert await bob.enter("two") == ["bob"]
    await bob.close()
    carol = await cluster.enter("carol", "one")
    assert carol.pushes["onLeave"] == []


async def test_the_sender_is_who_the_session_says(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby")
    await alice.request(
        SEND, {"content": "I am Bob", "from": "bob", "target": "*", "rid": "elsewhere"}
    )
    assert (await alice.expect("onChat"))["from"] == "alice"


@pytest.mark.parametrize("name", ["漢字", "Ωmega", "हिन्दी", "عربى", "a_1", "x" * 20])
async def test_names_in_any_script(cluster: Cluster, name: str) -> None:
    person = await cluster.connect(name)
    assert await person.enter(name) == [name]


async def test_one_name_has_one_form(cluster: Cluster) -> None:
    await cluster.enter("Zo\u00eb", "lobby")
    twin = await cluster.connect("Zoe\u0308")
    answer = await twin.request(ENTER, {"username": "Zoe\u0308", "rid": "lobby"})
    assert answer == {"code": 500, "error": True}


@pytest.mark.parametrize(
    "name", ["", "x" * 21, "a b", "a*b", "a\n", "<b>", "😀", "a\0", "\u0301", "\u0301a"]
)
async def test_bad_names_are_refused(cluster: Cluster, name: str) -> None:
    person = await cluster.connect("somebody")
    for field in ("username", "rid"):
        body = {"username": "alice", "rid": "lobby", field: name}
        answer = await person.request(ENTER, body)
        assert (answer["code"], answer["path"]) == (400, field)
    assert person.client.state.value == "online"


@pytest.mark.parametrize(
    ("route", "body", "code"),
    [
        (ENTER, {}, 400),
        (ENTER, {"username": 7, "rid": "lobby"}, 400),
        (ENTER, {"username": "alice"}, 400),
        (SWITCH, {"rid": "lobby"}, 500),
        (SEND, {"content": "x", "target": "*"}, 500),
        ("chat.chatHandler.nothing", {}, 500),
        ("connector.entryHandler.constructor", {}, 500),
        ("connector.entryHandler.__init__", {}, 500),
        ("nothing.at.all", {}, 500),
        ("nothing", {}, 500),
    ],
)
async def test_what_is_wrong_is_answered_and_the_connection_kept(
    cluster: Cluster, route: str, body: dict[str, object], code: int
) -> None:
    person = await cluster.connect("alice")
    answer = await person.request(route, body)
    assert answer["code"] == code
    assert answer["error"]
    assert await person.enter("lobby") == ["alice"]


async def test_an_absent_target_is_an_error(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby")
    assert await alice.say("hello?", "nobody") == {"code": 404, "error": "nobody is not here"}


async def test_the_gate_gives_one_user_one_connector(cluster: Cluster) -> None:
    person = await cluster.connect("alice", connector=0)
    gate = await cluster.connect("alice", connector=0)
    await gate.close()
    assert person.client.state.value == "online"


async def test_many_messages_have_one_order(cluster: Cluster) -> None:
    people = await cluster.enter_all(["a", "b", "c", "d"], "lobby")
    for number in range(20):
        for person in people:
            await person.client.notify(SEND, {"content": f"{person.name}{number}", "target": "*"})
    heard = [await person.heard(80) for person in people]
    assert all(texts == heard[0] for texts in heard)
    for person in people:
        own = [text for text in heard[0] if text.startswith(person.name)]
        assert own == [f"{person.name}{number}" for number in range(20)]


async def test_the_answer_says_where_the_message_stands(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby")
    answer = await alice.say("hello")
    push = await alice.expect("onChat")
    assert answer == {"epoch": push["epoch"], "offset": push["offset"]}


async def test_what_is_sent_again_is_said_once(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby")
    bob = await cluster.enter("bob", "lobby")
    again = {"content": "hello", "target": "*", "cid": "a1"}
    answers = [await alice.request(SEND, again) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["offset"] == 1
    assert (await bob.request(SEND, again))["offset"] == 2  # another sender's id is another message
    await alice.say("end")
    assert await bob.heard(3) == ["hello", "hello", "end"]
    assert [push["id"] for push in bob.pushes["onChat"][:2]] == ["a1", "a1"]


async def test_what_is_sent_again_is_known_after_the_worker_died(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    again = {"content": "hello", "target": "*", "cid": "a1"}
    first = await alice.request(SEND, again)
    owner = cluster.owner_of("lobby")
    await cluster.kill(owner)
    await cluster.start(owner)
    assert await alice.request(SEND, again) == first
    await alice.say("end")
    assert await alice.heard(2) == ["hello", "end"]


async def back(cluster: Cluster, name: str, room: str, since: dict[str, object]) -> dict[str, Any]:
    """The answer that somebody gets who comes back on a new connection."""
    person = await cluster.connect(name)
    return await person.request(ENTER, {"username": name, "rid": room, "since": since})


async def test_who_comes_back_gets_what_it_missed(cluster: Cluster) -> None:
    alice, bob, carol = await cluster.enter_all(["alice", "bob", "carol"], "lobby")
    await alice.say("seen")
    await bob.heard(1)
    seen = bob.pushes["onChat"][0]
    await bob.close()
    await alice.expect("onLeave")
    await alice.say("missed")
    await alice.say("not for bob", "carol")
    await carol.say("missed too")
    answer = await back(cluster, "bob", "lobby", {"epoch": seen["epoch"], "offset": 1})
    assert [push["msg"] for push in answer["publications"]] == ["missed", "missed too"]
    assert [push["offset"] for push in answer["publications"]] == [2, 4]
    assert (answer["recovered"], answer["next"]) == (True, 0)
    assert answer["position"] == {"epoch": seen["epoch"], "offset": 4}
    pushed = {key: value for key, value in answer["publications"][0].items() if key != "route"}
    assert pushed == carol.pushes["onChat"][1]


async def come_back(
    cluster: Cluster, name: str, room: str, connector: int, resume: str
) -> tuple[Person, dict[str, Any]]:
    """Somebody on a new connection, while the old one seems to be alive; and the answer."""
    person = await cluster.connect(name, connector, reconnect=False)
    body = {"username": name, "rid": room, "resume": resume}
    return person, await person.request(ENTER, body)


async def resumable(cluster: Cluster, name: str, room: str) -> tuple[Person, str]:
    person = await cluster.connect(name, 0)
    return person, (await person.request(ENTER, {"username": name, "rid": room}))["resume"]


@pytest.mark.parametrize("connector", [0, 1])
async def test_who_has_the_token_takes_its_name_back(cluster: Cluster, connector: int) -> None:
    old, token = await resumable(cluster, "alice", "lobby")
    bob = await cluster.enter("bob", "lobby", connector=1)
    dave = await cluster.enter("dave", "lobby", connector=1)
    new, answer = await come_back(cluster, "alice", "lobby", connector, token)
    assert (answer["users"], answer["resume"]) == (["alice", "bob", "dave"], token)
    await eventually(lambda: old.client.state.value == "offline")
    await bob.say("still here?")
    await new.expect("onChat")
    await dave.close()
    await bob.expect("onLeave")
    assert await new.expect("onLeave") == {"route": "onLeave", "user": "dave"}
    assert old.texts == []
    told = bob.pushes["onAdd"] + bob.pushes["onLeave"]
    assert {push["user"] for push in told} == {"dave"}, "alice's leave would be due before"


async def test_without_the_token_the_name_stays_taken(cluster: Cluster) -> None:
    old, token = await resumable(cluster, "alice", "lobby")
    for guess in ("", token[:-1], token.upper() + "x", "x" * 1000):
        _, answer = await come_back(cluster, "alice", "lobby", 1, guess)
        assert answer == {"code": 500, "error": True}
    await old.say("it is me")
    assert await old.heard(1) == ["it is me"]


async def test_rooms_are_changed_with_a_token_too(cluster: Cluster) -> None:
    old, token = await resumable(cluster, "alice", "lobby")
    new = await cluster.connect("alice", 1)
    await new.enter("elsewhere")
    answer = await new.request(SWITCH, {"rid": "lobby", "resume": token})
    assert answer["users"] == ["alice"]
    await eventually(lambda: old.client.state.value == "offline")


async def test_a_token_is_good_after_the_worker_died(cluster: Cluster) -> None:
    old, token = await resumable(cluster, "alice", "lobby")
    owner = cluster.owner_of("lobby")
    await cluster.kill(owner)
    await cluster.start(owner)
    await cluster.settled()
    _, refused = await come_back(cluster, "alice", "lobby", 1, "guess")
    assert refused == {"code": 500, "error": True}
    _, answer = await come_back(cluster, "alice", "lobby", 1, token)
    assert (answer["users"], answer["resume"]) == (["alice"], token)
    await eventually(lambda: old.client.state.value == "offline")


async def test_a_private_message_sent_again_has_its_place_when_its_target_left(
    cluster: Cluster,
) -> None:
    alice, bob = await cluster.enter_all(["alice", "bob"], "lobby")
    again = {"content": "psst", "target": "bob", "cid": "a1"}
    first = await alice.request(SEND, again)
    await bob.enter("elsewhere")
    await alice.expect("onLeave")
    assert await alice.request(SEND, again) == first
    other = await alice.request(SEND, {**again, "cid": "a2"})
    assert (other["code"], other["error"]) == (404, "bob is not here")


async def test_private_messages_are_recovered_by_both(cluster: Cluster) -> None:
    alice, bob, carol = await cluster.enter_all(["alice", "bob", "carol"], "lobby")
    said = await alice.say("psst", "bob")
    start = {"epoch": said["epoch"], "offset": 0}
    for person in (alice, bob, carol):
        await person.close()
    texts = {}
    for name in ("alice", "bob", "carol"):
        answer = await back(cluster, name, "lobby", start)
        texts[name] = [push["msg"] for push in answer["publications"]]
    assert texts == {"alice": ["psst"], "bob": ["psst"], "carol": []}


@pytest.mark.parametrize(
    "since", [{"epoch": "other", "offset": 0}, {"offset": 99}, {"offset": -1}], ids=str
)
async def test_what_cannot_be_recovered_is_said(cluster: Cluster, since: dict[str, object]) -> None:
    alice = await cluster.enter("alice", "lobby")
    said = await alice.say("hello")
    answer = await back(cluster, "bob", "lobby", {"epoch": said["epoch"], **since})
    assert (answer["recovered"], answer["publications"]) == (False, [])
    assert answer["position"] == said


async def test_history_is_paged_back(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby")
    bob = await cluster.enter("bob", "lobby")
    for number in range(1, 8):
        await alice.say(str(number), "alice" if number == 6 else "*")
    ask = {"limit": 3}
    pages = []
    while True:
        page = await bob.request("chat.chatHandler.history", ask)
        pages.append([push["msg"] for push in page["publications"]])
        if not page["more"]:
            break
        ask = {"limit": 3, "before": page["next"]}
    assert pages == [["5", "7"], ["2", "3", "4"], ["1"]]
    forward = await bob.request("chat.chatHandler.history", {"after": 4, "limit": 2})
    assert [push["msg"] for push in forward["publications"]] == ["5"]
    assert (forward["more"], forward["next"]) == (True, 6)


async def test_numbers_may_have_any_64_bits(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby")
    said = await alice.say("hello")
    for ask, found in (
        ({"before": 2**64 - 1}, ["hello"]),
        ({"before": -(2**63)}, []),
        ({"after": 2**64 - 1}, []),
        ({"after": -(2**63), "limit": 2**64 - 1}, ["hello"]),
    ):
        page = await alice.request("chat.chatHandler.history", ask)
        assert [push["msg"] for push in page["publications"]] == found
    for field in ("before", "after", "limit"):
        refused = await alice.request("chat.chatHandler.history", {field: -(10**30)})
        assert (refused["code"], refused["path"]) == (400, field)
    far = await back(cluster, "bob", "lobby", {"epoch": said["epoch"], "offset": 10**30})
    assert (far["code"], far["path"]) == (400, "since.offset")


async def test_entering_many_rooms_at_once_is_entering_the_last(cluster: Cluster) -> None:
    alice = await cluster.connect("alice")
    rooms = [f"room{number}" for number in range(10)]
    asked = [alice.request(ENTER, {"username": "alice", "rid": room}) for room in rooms]
    assert [answer["users"] for answer in await asyncio.gather(*asked)] == [["alice"]] * 10
    for room in rooms[:-1]:
        other = await cluster.enter("other", room)
        await other.say("hello")
    last = await cluster.enter("other", rooms[-1])
    await last.say("you are here")
    assert await alice.heard(1) == ["you are here"]


async def test_a_connection_has_one_name(cluster: Cluster) -> None:
    person = await cluster.connect("somebody")
    names = [f"name{number}" for number in range(5)]
    asked = [person.request(ENTER, {"username": name, "rid": "lobby"}) for name in names]
    first, *others = await asyncio.gather(*asked)
    assert first["users"] == ["name0"]
    assert all(answer["error"] == "you are name0 on this connection" for answer in others)
    bob = await cluster.connect("bob")
    assert await bob.enter("lobby") == ["name0", "bob"]
