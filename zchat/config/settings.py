"""config/settings.toml: the figures that a cluster runs by, read once into one frozen object.

Every key has a default, so an empty or missing file is a good one. Times are in seconds, sizes in
bytes. An unknown key, a wrong type or a value out of range is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field, dataclass, field, fields, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from zchat.config.source import Key, Source, near_miss, read_toml, show


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a key accepts, beside being of its default's type."""

    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    networks: bool = False

    @property
    def span(self) -> str:
        """The range, as error texts say it."""
        return f" from {self.low:.12g} to {self.high:.12g}"


def _seconds(default: float, low: float = 0.001, high: float = 31_536_000.0) -> float:
    return field(default=float(default), metadata={"rule": _Rule(low, high)})


def _number(default: int, low: int = 1, high: int = 2**31 - 1) -> int:
    return field(default=default, metadata={"rule": _Rule(low, high)})


def _choice(default: str, *others: str) -> str:
    return field(default=default, metadata={"rule": _Rule(choices=(default, *others))})


def _networks() -> tuple[str, ...]:
    return field(default=(), metadata={"rule": _Rule(networks=True)})


@dataclass(frozen=True, slots=True)
class Application:
    """[application]: what the servers run."""

    module: str = "zchat.chat.app"
    """Module that makes the `app`; looked for in the project folder first."""


@dataclass(frozen=True, slots=True)
class Client:
    """[client]: what clients meet."""

    listen: str = ""
    """Address on which frontends listen for clients; empty: all interfaces."""

    allowed_origins: tuple[str, ...] = ("*",)
    """Origins (`https://chat.example`) whose pages may connect; `*`: any."""

    heartbeat: int = _number(30, high=31_536_000)
    """Whole seconds between heartbeats; a client silent for two of them is gone."""

    handshake_timeout: float = _seconds(10)
    """Seconds from the TCP connection to the end of the handshake."""

    certificate: str = ""
    """PEM file of the frontends' certificate, read again when it changes; empty: no TLS."""

    key: str = ""
    """PEM file of its private key; empty: it is in the certificate's file."""

    blocked: tuple[str, ...] = _networks()
    """Networks (`203.0.113.0/24`) and addresses whose clients are not let in."""

    trusted_proxies: tuple[str, ...] = _networks()
    """Networks and addresses of proxies whose X-Forwarded-For and X-Real-IP are believed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """[limits]: the bound of everything that a client or a peer could make grow."""

    connections: int = _number(0, low=0)
    """Clients per frontend; 0: as many as there are file descriptors for."""

    message_bytes: int = _number(65_536, low=128)
    """Bytes of one message from a client."""

    messages_per_second: int = _number(100)
    """Messages per second from one client, in the long run."""

    messages_burst: int = _number(200)
    """Messages at once from one client that was silent before."""

    bytes_per_second: int = _number(262_144)
    """Bytes per second from one client, in the long run."""

    bytes_burst: int = _number(524_288)
    """Bytes at once from one client that was silent before; at least message_bytes."""

    requests_in_flight: int = _number(64)
    """Unanswered requests per session."""

    outbox_bytes: int = _number(1_048_576, low=4_096)
    """Bytes that wait for a client that reads slowly; past it the client is cut off."""

    peer_requests: int = _number(4_096)
    """Unanswered requests of a frontend's clients at a server that is up; more are refused."""

    peer_queue_bytes: int = _number(16_777_216, low=65_536)
    """Bytes that wait for another server, sent but unanswered requests included."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """[cluster]: how servers deal with each other."""

    request_deadline: float = _seconds(5)
    """Seconds in which a request must be answered."""

    liveness_interval: float = _seconds(1, low=0.05)
    """Seconds between signs of life of a peer; all traffic counts."""

    liveness_count: int = _number(3, low=2)
    """Intervals of silence after which a peer counts as lost."""

    drain: float = _seconds(10, low=0)
    """Seconds that a server told to stop may take to see its clients off."""

    keys: str = "config/keys"
    """Folder of the CURVE keys; read when a server's host is not loopback."""

    insecure: bool = False
    """Whether servers may talk unencrypted over addresses that are not loopback."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """[rooms]: channels."""

    beat: float = _seconds(1, low=0.05)
    """Seconds between an owner's announcements of its channels' positions."""

    grace: float = _seconds(5, low=0)
    """Seconds that a lost session's member stays before the others are told of the leave."""

    history: int = _number(1_000, low=0)
    """Publications kept per channel; at least `repeat_window` are."""

    history_age: float = _seconds(86_400, low=0)
    """Seconds that a publication is kept; at least `repeat_age`."""

    repeat_window: int = _number(1_000, low=0)
    """Publications per channel among which a repeated one is recognized."""

    repeat_age: float = _seconds(300, low=0)
    """Seconds during which a repeated publication is recognized."""


@dataclass(frozen=True, slots=True)
class Journal:
    """[journal]: where publications survive."""

    path: str = "run/journal.sqlite"
    """The journal's file."""

    sync: str = _choice("normal", "full", "off")
    """What acknowledged publications survive: full: power loss; normal: any process's death;
    off: nothing is promised."""


@dataclass(frozen=True, slots=True)
class Logs:
    """[logs]: what is written to the logs."""

    level: str = _choice("info", "debug", "warning", "error")
    """The least severe level that is logged."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of settings.toml, a section a field. Paths are relative to the project folder."""

    application: Application = Application()
    client: Client = Client()
    limits: Limits = Limits()
    cluster: Cluster = Cluster()
    rooms: Rooms = Rooms()
    journal: Journal = Journal()
    logs: Logs = Logs()


def load(path: str | Path) -> Settings:
    """Read the settings; a missing file gives the defaults.

    Raises:
        ConfigError: the file is wrong; the text names file, line and key.
    """
    settings = Settings()
    if not Path(path).exists():
        return settings
    tree, source = read_toml(path)
    _refuse_unknown(source, (), tree, settings)
    settings = replace(
        settings,
        **{name: _section(source, name, getattr(settings, name), tree[name]) for name in tree},
    )
    _refuse_contradictions(source, settings)
    return settings


def _section(source: Source, name: str, defaults: Any, values: object) -> Any:
    if not isinstance(values, dict):
        raise source.error((name,), f"expected a table, found {show(values)}")
    _refuse_unknown(source, (name,), values, defaults)
    return replace(
        defaults,
        **{
            key.name: _value(source, (name, key.name), key, values[key.name])
            for key in fields(defaults)
            if key.name in values
        },
    )


def _value(source: Source, place: Key, key: Field[Any], value: Any) -> Any:
    """The value of one key, of the same type as its default."""
    rule: _Rule = key.metadata.get("rule", _Rule())
    match key.default:
        case tuple():
            good = isinstance(value, list) and all(isinstance(item, str) for item in value)
            expected, value = "a list of strings", tuple(value) if good else value
            if good and rule.networks:
                _refuse_no_networks(source, place, value)
        case float():
            # `type` and not isinstance: true and false are no numbers here.
            good = type(value) in (int, float) and rule.low <= value <= rule.high
            expected, value = f"a number{rule.span}", float(value) if good else value
        case bool():
            good, expected = isinstance(value, bool), "true or false"
        case int():
            good, expected = type(value) is int and rule.low <= value <= rule.high, "a whole number"
            expected += rule.span
        case _ if rule.choices:
            good, expected = value in rule.choices, "one of " + ", ".join(rule.choices)
        case _:
            good, expected = isinstance(value, str), "a string"
    if not good:
        raise source.error(place, f"expected {expected}, found {show(value)}")
    return value


def _refuse_unknown(source: Source, place: Key, values: Iterable[str], defaults: Any) -> None:
    known = [key.name for key in fields(defaults)]
    for name in values:
        if name not in known:
            meant = near_miss(name, known)
            hint = f"did you mean {meant}?" if meant else f"known: {', '.join(known)}"
            raise source.error((*place, name), f"unknown {'key' if place else 'section'}; {hint}")


def _refuse_no_networks(source: Source, place: Key, values: Iterable[str]) -> None:
    for text in values:
        try:
            ip_network(text)
        except ValueError as error:
            raise source.error(place, f"expected networks, found {show(text)}: {error}") from None


def _refuse_contradictions(source: Source, settings: Settings) -> None:
    limits, client = settings.limits, settings.client
    if client.key and not client.certificate:
        raise source.error(("client", "key"), "a key without a certificate")
    if limits.bytes_burst < limits.message_bytes:
        raise source.error(
            ("limits", "bytes_burst"),
            f"{limits.bytes_burst} is less than message_bytes, {limits.message_bytes}: "
            "the largest message could never pass",
        )
