"""Where clients come from: their real addresses behind proxies, and those that are not let in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

logger = logging.getLogger("zchat.access")

IPAddress = IPv4Address | IPv6Address


class Networks:
    """A set of networks; looking an address up costs one step per length of prefix, not per entry.

    Args:
        networks: such as `203.0.113.0/24`, or single addresses.

    Raises:
        ValueError: one of them is no network.
    """

    __slots__ = ("_prefixes",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._prefixes: dict[tuple[int, int], set[int]] = {}  # (version, bits after the prefix)
        for text in networks:
            network = ip_network(text)
            rest = network.max_prefixlen - network.prefixlen
            prefix = int(network.network_address) >> rest
            self._prefixes.setdefault((network.version, rest), set()).add(prefix)

    def __bool__(self) -> bool:
        return bool(self._prefixes)

    def __contains__(self, address: IPAddress) -> bool:
        number, version = int(address), address.version
        return any(
            number >> rest in prefixes
            for (kind, rest), prefixes in self._prefixes.items()
            if kind == version
        )


class Addresses:
    """What a frontend makes of the addresses that clients come from.

    Args:
        blocked: networks whose clients are not let in.
        trusted_proxies: networks of proxies whose word about a client's address is taken.
        is_blocked: the application's own say, by address; when it raises, the client is not let in
            and the error is logged.
    """

    def __init__(
        self,
        blocked: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        is_blocked: Callable[[str], bool] | None = None,
    ) -> None:
        self._blocked = Networks(blocked)
        self._trusted = Networks(trusted_proxies)
        self._is_blocked = is_blocked

    def blocks(self, address: str) -> bool:
        """Whether a client of this IP address is refused."""
        if self._blocked and ip_address(address) in self._blocked:
            return True
        if self._is_blocked is None:
            return False
        try:
            return bool(self._is_blocked(address))
        except Exception:
            logger.exception("whether %s is blocked cannot be said", address)
            return True

    def client(self, peer: str, forwarded_for: str, real_ip: str) -> str:
        """The address of the client at the far end of trusted proxies.

        Every proxy appends to X-Forwarded-For whom it heard, so what a client wrote there itself
        stands left of what trusted proxies added: the right-most address that is no trusted proxy
        is as far as their word reaches.

        Args:
            peer: who is connected to us. Of others than trusted proxies no header counts.
            forwarded_for: the header X-Forwarded-For, all of its lines; empty: none.
            real_ip: the header X-Real-IP, which counts where the other is missing.
        """
        if not self._trusted or ip_address(peer) not in self._trusted:
            return peer
        if not forwarded_for:
            return str(_read(real_ip) or peer)
        client = peer
        for hop in _hops(forwarded_for):
            client = str(hop)
            if hop not in self._trusted:
                break
        return client


def _hops(forwarded_for: str) -> Iterator[IPAddress]:
    """From the right; what is left of anything unreadable is nobody's word."""
    for text in reversed(forwarded_for.split(",")):
        hop = _read(text)
        if hop is None:
            return
        yield hop


def _read(text: str) -> IPAddress | None:
    """An address, with or without a port; an IPv4 one may be written as IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
