"""The simulated network: each way in order, late, and lost when the link breaks."""

from __future__ import annotations

from random import Random

import pytest

from tests.sim.loop import VirtualLoop
from tests.sim.network import Link, Network
from tests.sim.process import Process
from tests.sim.timeline import Timeline


class Server:
    """Accepts links and keeps what comes."""

    def __init__(self, process: Process | None = None) -> None:
        self.process = process
        self.heard: list[int] = []
        self.lost: list[Link] = []

    def accept(self, link: Link, hello: object) -> None:
        link.server = self

    def unlinked(self, link: Link) -> None:
        self.lost.append(link)

    def __str__(self) -> str:
        return "server"


class Client(Server):
    def __str__(self) -> str:
        return "client"


@pytest.fixture
def network() -> Network:
    loop = VirtualLoop(lambda context: None)
    return Network(loop, Random(1), Timeline(loop))


def linked(network: Network, process: Process | None = None) -> tuple[Client, Server, Link]:
    client, server = Client(), Server(process)
    network.listen("there", server)
    link = network.connect(client, "there", None)
    assert link is not None
    return client, server, link


def finish(network: Network) -> None:
    network.loop.run(lambda: False)


def test_each_way_is_first_in_first_out(network: Network) -> None:
    client, server, link = linked(network)
    for number in range(200):
        link.to_server(server.heard.append, number)
        link.to_client(client.heard.append, -number)
    finish(network)
    assert server.heard == list(range(200))
    assert client.heard == [-number for number in range(200)]


def test_nothing_comes_through_a_link_that_holds_up_until_it_goes_on(network: Network) -> None:
    _, server, link = linked(network)
    link.stalled = network.loop.now + 7
    link.to_server(server.heard.append, 1)
    finish(network)
    assert server.heard == [1]
    assert network.loop.now >= link.stalled


def test_what_is_under_way_dies_with_the_link_and_both_ends_hear_of_it(network: Network) -> None:
    client, server, link = linked(network)
    link.to_server(server.heard.append, 1)
    link.break_off()
    link.to_server(server.heard.append, 2)
    finish(network)
    assert server.heard == []
    assert client.lost == server.lost == [link]


def test_what_was_written_before_a_close_arrives(network: Network) -> None:
    client, server, link = linked(network)
    link.to_server(server.heard.append, 1)
    link.close(client)
    finish(network)
    assert server.heard == [1]
    assert (client.lost, server.lost) == ([], [link])


def test_nobody_listens(network: Network) -> None:
    assert network.connect(Client(), "nowhere", None) is None


def test_a_way_that_is_cut_is_closed_for_a_while(network: Network) -> None:
    client, _, link = linked(network)
    network.cut(link, 2.0)
    assert network.connect(client, "there", None) is None
    network.loop.call_later(2.5, lambda: None)
    finish(network)
    assert network.connect(client, "there", None) is not None


def test_a_killed_process_is_gone_from_the_network(network: Network) -> None:
    process = Process("chat-1", 1)
    client, server, link = linked(network, process)
    process.dead = True
    network.kill(process)
    finish(network)
    assert client.lost == [link]
    assert server.lost == []
    assert network.connect(client, "there", None) is None
