"""Addresses: who is not let in, and who a client behind proxies is."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.logs import ExpectedLogs
from zchat.frontend.sockets.addresses import Addresses, Networks

PROXIES = ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32")


def test_networks_and_single_addresses() -> None:
    networks = Networks(["203.0.113.0/24", "198.51.100.7", "2001:db8::/32", "0.0.0.0/32"])
    for inside in ("203.0.113.0", "203.0.113.255", "198.51.100.7", "2001:db8::1", "0.0.0.0"):
        assert ip_address(inside) in networks
    for outside in ("203.0.112.255", "198.51.100.8", "2001:db9::", "::", "::cb00:7101"):
        assert ip_address(outside) not in networks
    assert networks
    assert not Networks()


def test_everybody() -> None:
    networks = Networks(["0.0.0.0/0"])
    assert ip_address("255.1.2.3") in networks
    assert ip_address("::1") not in networks


@given(
    st.ip_addresses(),
    st.lists(st.ip_addresses().flatmap(lambda ip: st.tuples(st.just(ip), st.integers(0, 128)))),
)
def test_the_same_as_one_by_one(address: object, prefixes: list[tuple[object, int]]) -> None:
    texts = [f"{ip}/{min(bits, ip_address(str(ip)).max_prefixlen)}" for ip, bits in prefixes]
    networks = [ip_network(text, strict=False) for text in texts]
    looked_up = ip_address(str(address)) in Networks(str(network) for network in networks)
    assert looked_up == any(address in network for network in networks)


def test_no_network() -> None:
    with pytest.raises(ValueError, match="host bits set"):
        Networks(["203.0.113.1/24"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("198.51.100.1", "1.2.3.4", "198.51.100.1"),  # a stranger may write what he likes
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the client itself wrote the first
        ("10.0.0.1", "6.6.6.6,1.2.3.4 , 192.0.2.7,10.9.9.9", "1.2.3.4"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.8", "10.0.0.9"),  # the client is one of ours
        ("10.0.0.1", "1.2.3.4, unknown, 10.0.0.8", "10.0.0.8"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
        ("10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8::1", "[2001:db9::5]:443", "2001:db9::5"),
        ("2001:db8::1", "2001:DB9:0::5", "2001:db9::5"),
    ],
)
def test_the_client_behind_proxies(peer: str, forwarded_for: str, client: str) -> None:
    assert Addresses((), PROXIES).client(peer, forwarded_for, "") == client


def test_real_ip_counts_where_there_is_nothing_better() -> None:
    addresses = Addresses((), PROXIES)
    assert addresses.client("10.0.0.1", "", "1.2.3.4") == "1.2.3.4"
    assert addresses.client("10.0.0.1", "5.6.7.8", "1.2.3.4") == "5.6.7.8"
    assert addresses.client("10.0.0.1", "", "nonsense") == "10.0.0.1"
    assert addresses.client("198.51.100.1", "", "1.2.3.4") == "198.51.100.1"
    assert Addresses().client("10.0.0.1", "5.6.7.8", "1.2.3.4") == "10.0.0.1"


@given(st.text(), st.text())
def test_whatever_headers_say_it_is_an_address(forwarded_for: str, real_ip: str) -> None:
    ip_address(Addresses((), PROXIES).client("10.0.0.1", forwarded_for, real_ip))


def test_blocked() -> None:
    addresses = Addresses(["203.0.113.0/24"], (), lambda address: address.endswith(".13"))
    assert addresses.blocks("203.0.113.1")
    assert addresses.blocks("198.51.100.13")
    assert not addresses.blocks("198.51.100.1")
    assert not Addresses().blocks("203.0.113.1")


def test_who_cannot_be_judged_is_not_let_in(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.access", "whether 192.0.2.1 is blocked cannot be said")

    def fails(address: str) -> bool:
        raise RuntimeError("no list")

    assert Addresses(is_blocked=fails).blocks("192.0.2.1")
