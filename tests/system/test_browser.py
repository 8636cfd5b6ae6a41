"""People at the page, in real browsers, who talk through the real processes of a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.support.browser import FLAGS, executable
from tests.support.network import HOST, Network
from tests.support.processes import Processes
from tests.support.soak import rounds
from tests.support.timing import eventually
from tests.support.visitor import AGES, DESK, EVERYONE, PHONE, Screen, Visitor
from zchat import choose

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser serves all of them

DROPS = rounds(10, soak=100)
"""How often a page loses its connection while people talk."""

CONNECTORS = ("connector-server-1", "connector-server-2")
SERVERS = {"gate": 1, "connector": len(CONNECTORS), "chat": 2, "web": 1}

Come = Callable[..., Awaitable[Visitor]]
"""Opens the page: `await come(screen=PHONE, path="#pier")`."""


def somebody_at(connector: str) -> str:
    """A name for which the gate chooses this connector, as long as both are alive."""
    names = ("Ann", "Bo", "Cleo", "Dov", "Eve", "Finn", "Gus", "Hal", "Ida", "Jun")
    return next(name for name in names if choose(name, CONNECTORS) == connector)


ANN, BO = map(somebody_at, CONNECTORS)
"""Two people, each at another connector."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Processes]:
    folder = tmp_path_factory.mktemp("project")
    cluster = Processes(folder, SERVERS, "[rooms]\ngrace = 3\n")
    behind_the_network(folder)
    async with cluster:
        yield cluster


def behind_the_network(folder: Path) -> None:
    """Have the gate send clients to connectors by way of the network that tests may break."""
    path = folder / "config" / "servers.json"
    servers = json.loads(path.read_text())
    for line in servers["development"]["connector"]:
        line["clientHost"] = HOST
    path.write_text(json.dumps(servers))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(cluster: Processes) -> AsyncIterator[Network]:
    ports = [cluster.line(connector)["clientPort"] for connector in CONNECTORS]
    async with Network(ports) as network:
        yield network


@pytest.fixture
def outage() -> list[str]:
    """How complaints begin that a browser may make; a test that ends servers fills it."""
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def come(
    cluster: Processes, browser: Browser, network: Network, outage: list[str]
) -> AsyncIterator[Come]:
    """Browsers at the page, which must have nothing to complain of when the test is over."""
    visitors: list[Visitor] = []
    url = f"http://127.0.0.1:{cluster.line('web-server-1')['clientPort']}/"

    async def open_page(screen: Screen = DESK, path: str = "", dark: bool = False) -> Visitor:
        visitors.append(await Visitor.come(browser, url + path, screen, dark=dark))
        return visitors[-1]

    yield open_page
    for visitor in visitors:
        await visitor.leave_browser()
    await network.clear()
    problems = [problem for visitor in visitors for problem in visitor.problems]
    assert [text for text in problems if not text.startswith(tuple(outage))] == []


async def two_in(room: str, come: Come) -> tuple[Visitor, Visitor]:
    """Ann and Bo, in one room, each at another connector."""
    ann, bo = await come(), await come()
    await ann.enter(ANN, room)
    await bo.enter(BO, room)
    await expect(ann.notices("joined")).to_have_text(f"{BO} joined")
    return ann, bo


async def test_people_meet_talk_and_part(come: Come) -> None:
    ann = await come()
    await ann.enter(ANN, "pier")
    await expect(ann.notices("here")).to_contain_text("Nobody else is here yet")
    await ann.is_online()
    bo = await come(path="#pier")
    await expect(bo.at("entry-room")).to_have_value("pier")  # the address brings others there
    await bo.enter(BO, "pier")
    await expect(ann.notices("joined")).to_have_text(f"{BO} joined")
    await ann.sees_people(ANN, BO)
    await bo.sees_people(BO, ANN)  # oneself comes first

    await ann.say("hello")
    await bo.sees("hello")
    await bo.say("good morning")
    for visitor in (ann, bo):
        await visitor.sees("hello", "good morning")
        await expect(visitor.at("message-from")).to_have_text([ANN, BO])
    times = "nodes => nodes.map(node => node.dateTime)"
    stamps = await ann.page.locator("time").evaluate_all(times)
    assert stamps == await bo.page.locator("time").evaluate_all(times)
    age = "stamp => Date.now() - Date.parse(stamp)"
    assert 0 <= await ann.page.evaluate(age, stamps[0]) < 60_000

    await bo.at("leave").click()
    await expect(bo.at("entry")).to_be_visible()
    await expect(ann.notices("left")).to_have_text(f"{BO} left")
    await ann.sees_people(ANN)


async def test_all_see_one_order(come: Come) -> None:
    ann, bo = await two_in("order", come)
    for number in range(5):
        await ann.say(f"ann {number}")
        await bo.say(f"bo {number}")
    texts = []
    for visitor in (ann, bo):
        await expect(visitor.at("message")).to_have_count(10)
        await expect(visitor.at("outgoing").get_by_test_id("message")).to_have_count(0)
        texts.append(await visitor.at("message-text").all_text_contents())
    assert texts[0] == texts[1]
    assert sorted(texts[0]) == sorted(f"{who} {n}" for who in ("ann", "bo") for n in range(5))


async def test_a_private_message_is_between_two(come: Come) -> None:
    ann, bo = await two_in("secrets", come)
    cy = await come()
    await cy.enter("Cy", "secrets")
    await expect(bo.notices("joined")).to_have_text("Cy joined")

    await bo.page.get_by_role("button", name=ANN).click()  # in the list of people
    await expect(bo.at("text")).to_have_attribute("placeholder", f"Only {ANN} will read this")
    await bo.say("psst", target=ANN)
    await bo.say("can you all hear me?")
    await ann.sees("psst", "can you all hear me?")
    await expect(ann.at("message-privacy")).to_have_text("only to you")
    await bo.sees("psst", "can you all hear me?")
    await expect(bo.at("message-privacy")).to_have_text(f"only to {ANN}")
    await cy.sees("can you all hear me?")

    await cy.at("target").select_option(ANN)
    await ann.at("leave").click()
    await expect(cy.at("composer")).to_contain_text(f"{ANN} is not here any more.")
    await cy.say("still there?", target=ANN)  # does not go to everyone instead
    await expect(cy.at("message-fate")).to_contain_text(f"{ANN} is not here any more.")
    await cy.at("discard").click()
    await bo.sees("psst", "can you all hear me?")


async def test_a_taken_name_is_refused_in_words(come: Come) -> None:
    ann, bo = await come(), await come()
    await ann.enter(ANN, "names")
    await bo.try_to_enter("not a name", "names")
    await expect(bo.at("entry-problem")).to_contain_text("letters, digits and _")
    await bo.try_to_enter(ANN, "names")
    taken = f"Somebody in names is called {ANN} already. Please choose another name."
    await expect(bo.at("entry-problem")).to_have_text(taken)
    await bo.enter("小林_2", "names")
    await ann.sees_people(ANN, "小林_2")


async def test_rooms_are_changed_on_the_same_connection(come: Come) -> None:
    ann, bo = await two_in("pier_one", come)
    await ann.say("I'm off to the quay")
    await bo.sees("I'm off to the quay")
    await ann.move_to("quay_two")
    await expect(bo.notices("left")).to_have_text(f"{ANN} left")
    await ann.sees()
    await ann.sees_people(ANN)
    await ann.say("anybody?")
    await ann.sees("anybody?")
    assert ann.page.url.endswith("#quay_two")

    await ann.page.go_back()
    await expect(ann.at("room")).to_have_text("pier_one")
    await expect(bo.notices("joined")).to_have_text(f"{ANN} joined")
    await bo.say("welcome back")
    for visitor in (ann, bo):
        await visitor.sees("I'm off to the quay", "welcome back")


async def test_a_reload_takes_the_same_place_without_noise(come: Come) -> None:
    ann, bo = await two_in("reload", come)
    await bo.say("hello")
    await bo.say("psst", target=ANN)
    await ann.sees("hello", "psst")
    await bo.page.reload()
    await expect(bo.at("room")).to_have_text("reload")
    await bo.sees("hello", "psst")
    await bo.say("it's me")
    for visitor in (ann, bo):
        await visitor.sees("hello", "psst", "it's me")
    await ann.sees_people(ANN, BO)
    await expect(ann.notices("left")).to_have_count(0)

    await bo.at("leave").click()
    await bo.page.reload()  # who has left does not go back by accident
    await expect(bo.at("entry")).to_be_visible()


async def test_who_comes_later_reads_what_was_said(come: Come) -> None:
    ann = await come()
    await ann.enter(ANN, "library")
    said = [f"page {number}" for number in range(1, 61)]
    for text in said:
        await ann.say(text)
    await ann.sees(*said)

    bo = await come()
    await bo.enter(BO, "library")
    await bo.sees(*said[10:])
    await expect(bo.at("message").last).to_be_in_viewport()
    await expect(bo.at("earlier")).to_have_text("Show earlier messages")
    await expect(bo.at("timeline")).to_have_attribute("aria-live", "polite")
    top = bo.page.get_by_text("page 11", exact=True)
    await bo.page.evaluate("document.getElementById('scroller').scrollTop = 0")  # to the top
    await bo.sees(*said)
    await expect(top).to_be_in_viewport()  # the reader's eyes stay where they were
    await expect(bo.at("earlier")).to_be_hidden()
    await ann.say("the end")
    await expect(bo.at("pill")).to_have_text("1 new message")
    await expect(top).to_be_in_viewport()


async def test_one_name_two_tabs(come: Come) -> None:
    ann, bo = await two_in("tabs", come)
    await ann.say("from the first")
    stranger = await come()
    await stranger.try_to_enter(ANN, "tabs")
    await expect(stranger.at("entry-problem")).to_contain_text(f"is called {ANN} already")

    twin = await ann.open_twin()
    await expect(twin.at("room")).to_have_text("tabs")
    await twin.sees("from the first")
    await ann.is_in_state("offline")
    await expect(ann.at("strip")).to_contain_text("in another window")
    await twin.say("from the second")
    await bo.sees("from the first", "from the second")
    await expect(bo.notices("left")).to_have_count(0)

    await ann.try_now()
    await ann.sees("from the first", "from the second")
    await twin.is_in_state("offline")
    await ann.say("from the first again")
    await bo.sees("from the first", "from the second", "from the first again")
    await bo.sees_people(BO, ANN)
    assert twin.problems == []


HOSTILE = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'><svg onload='window.hacked = 1'>",
    "javascript:window.hacked=1 data:text/html,<script>window.hacked=1</script>",
    "{{constructor.constructor('window.hacked=1')()}} &lt;b&gt; \u202etxt.exe",
)


async def test_what_people_write_is_text(come: Come) -> None:
    ann, bo = await two_in("markup", come)
    link = 'see https://example.org/a_(b)?c=1&d="onmouseover=window.hacked=1'
    for text in (*HOSTILE, link):
        await ann.say(text)
    for visitor in (ann, bo):
        await visitor.sees(*HOSTILE, link)
        timeline = visitor.at("timeline")
        await expect(timeline.locator("script, img, svg, iframe, b")).to_have_count(0)
        address = timeline.get_by_role("link")
        await expect(address).to_have_attribute("href", "https://example.org/a_(b)?c=1&d=")
        await expect(address).to_have_attribute("rel", "noopener noreferrer nofollow")
        await expect(address).to_have_attribute("target", "_blank")
        assert await visitor.page.evaluate("window.hacked") is None


async def test_the_page_is_served_under_a_strict_policy(come: Come, outage: list[str]) -> None:
    ann = await come()
    response = await ann.page.reload()
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    await ann.enter(ANN, "policy")
    assert {url for url in ann.requests if not url.startswith(ann.page.url.split("#")[0])} == set()
    assert ann.problems == []

    # The policy holds: a script that found its way into the page would not run.
    await ann.page.evaluate(
        "document.body.append(Object.assign("
        "document.createElement('script'), {textContent: 'window.hacked = 1'}))"
    )
    assert await ann.page.evaluate("window.hacked") is None
    outage += ["Refused to execute inline script", "Executing inline script violates"]
    assert len(ann.problems) == 1


async def test_on_a_phone(come: Come) -> None:
    bo = await come()
    await bo.enter(BO, "phone")
    ann = await come(PHONE, dark=True)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert await ann.page.evaluate(fits)
    await ann.enter(ANN, "phone")
    await bo.say("a word too long for any phone: " + "wide" * 50)
    await expect(ann.at("message")).to_have_count(1)
    assert await ann.page.evaluate(fits)
    await expect(ann.at("send")).to_be_in_viewport(ratio=1)
    await expect(ann.at("people")).not_to_be_in_viewport()

    await ann.at("people-button").tap()
    await expect(ann.page.get_by_role("button", name="Close")).to_be_focused()
    await ann.page.keyboard.press("Escape")
    await expect(ann.at("people")).not_to_be_in_viewport()
    await expect(ann.at("people-button")).to_be_focused()

    await ann.at("people-button").tap()
    await ann.sees_people(ANN, BO)
    await ann.page.get_by_role("button", name=BO).tap()
    await expect(ann.at("people")).not_to_be_in_viewport()
    await expect(ann.at("target")).to_have_value(BO)
    await ann.at("text").fill("from my phone")
    await ann.at("send").tap()
    await expect(bo.at("message-text").last).to_have_text("from my phone")
    await expect(bo.at("message-privacy")).to_have_text("only to you")
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    assert await ann.page.evaluate(dark)
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    assert await ann.page.evaluate(paper) != await bo.page.evaluate(paper)


@pytest.mark.timeout(60 + 6 * DROPS)
async def test_a_page_that_loses_its_connection_loses_no_message(
    come: Come, cluster: Processes, network: Network
) -> None:
    ann, bo = await two_in("tunnel", come)
    port = cluster.line(CONNECTORS[0])["clientPort"]
    chance = Random(7)
    said: dict[Visitor, list[str]] = {ann: [], bo: []}

    async def talk(visitor: Visitor, other: str) -> None:
        for _ in range(chance.randrange(1, 4)):
            said[visitor].append(f"{ANN if visitor is ann else BO} {len(said[visitor])}")
            await visitor.say(said[visitor][-1], chance.choice((EVERYONE, EVERYONE, other)))

    async def lose() -> None:
        await talk(ann, BO)
        assert network.cut(port, ghost=chance.random() < 0.5) == 1
        await talk(ann, BO)
        await ann.network_is_back()

    for _ in range(DROPS):
        await asyncio.gather(lose(), talk(bo, ANN))
        await eventually(lambda: network.count(port) == 1, AGES)
        await ann.is_online()
    await expect(ann.at("outgoing").get_by_test_id("message")).to_have_count(0)
    count = len(said[ann]) + len(said[bo])
    for visitor in (ann, bo):
        await expect(visitor.at("timeline").get_by_test_id("message")).to_have_count(count)
        await expect(visitor.notices("hole")).to_have_count(0)
        await expect(visitor.notices("left")).to_have_count(0)
    seen = await ann.texts()
    assert seen == await bo.texts()
    for name, texts in ((ANN, said[ann]), (BO, said[bo])):
        assert [text for text in seen if text.startswith(f"{name} ")] == texts


async def test_a_worker_dies_while_people_type(come: Come, cluster: Processes) -> None:
    ann, bo = await two_in("engine", come)
    owner = choose("engine", ("chat-server-1", "chat-server-2"))
    assert owner is not None
    said = []
    for number in range(6):
        if number == 2:
            await cluster.kill(owner)
        if number == 4:
            cluster.start(owner)
        for visitor, name in ((ann, ANN), (bo, BO)):
            said.append(f"{name} {number}")
            await visitor.say(said[-1])
    await cluster.ready()
    for visitor in (ann, bo):
        await expect(visitor.at("timeline").get_by_test_id("message")).to_have_count(
            len(said), timeout=AGES * 1000
        )
        await expect(visitor.at("outgoing").get_by_test_id("message")).to_have_count(0)
        await expect(visitor.notices("hole")).to_have_count(0)
    seen = await ann.texts()
    assert seen == await bo.texts()
    assert sorted(seen) == sorted(said)
    await ann.sees_people(ANN, BO)


async def test_one_connector_dies(come: Come, cluster: Processes, outage: list[str]) -> None:
    outage.append("WebSocket connection to ")
    ann, bo = await two_in("harbour", come)
    await ann.say("before")
    await bo.sees("before")
    await ann.at("text").press_sequentially("half a sen")
    await cluster.kill(CONNECTORS[0])
    await bo.say("you missed this")
    await ann.at("text").press_sequentially("tence")
    await ann.sees("before", "you missed this", timeout=AGES)  # she came in by the other door
    await expect(ann.at("text")).to_have_value("half a sentence")
    await ann.at("text").press("Enter")
    for visitor in (ann, bo):
        await visitor.sees("before", "you missed this", "half a sentence")
        await expect(visitor.notices("hole")).to_have_count(0)
    # Whether Bo was told of a leave depends on the page's luck: its waits are random, and may
    # add up to more than the grace.
    await ann.sees_people(ANN, BO)
    await bo.sees_people(BO, ANN)
    cluster.start(CONNECTORS[0])
    await cluster.ready()


async def test_all_connectors_die_and_come_back(
    come: Come, cluster: Processes, outage: list[str]
) -> None:
    outage.append("WebSocket connection to ")
    ann, bo = await two_in("storm", come)
    await ann.say("before")
    await bo.sees("before")
    for connector in CONNECTORS:
        await cluster.kill(connector)
    for visitor in (ann, bo):
        await visitor.is_in_state("reconnecting")
        await expect(visitor.at("strip")).to_contain_text("Connection lost. Trying again")
    await ann.say("meanwhile")
    await expect(ann.at("message-fate")).to_have_text("Waiting for the connection")

    for connector in CONNECTORS:
        cluster.start(connector)
    await cluster.ready()
    for visitor in (bo, ann):
        await visitor.is_online()
        await expect(visitor.at("strip")).to_be_hidden()
        await expect(visitor.notices("hole")).to_have_count(0)
    await ann.sees("before", "meanwhile")
    await bo.say("after")
    await ann.sees("before", "meanwhile", "after")
