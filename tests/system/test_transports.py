"""The ways into a cluster, as docs/topics/transports.md has them: TCP, TLS, tokens, proxies."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from tests.frontend.wire import Peer, masked, request
from tests.support.certificates import Authority
from tests.support.cluster import FAST, Cluster
from tests.support.person import Person
from tests.support.sources import ROOT
from tests.support.timing import eventually
from zchat import Application, Handshake
from zchat.client import Client, Disconnected, connect
from zchat.errors import ConfigError
from zchat.frontend.sockets.disconnect import KICKED, SLOW_READER
from zchat.protocol import body, message, package
from zchat.protocol.dictionary import EMPTY
from zchat.testing import Cluster as Project

PAGE = (ROOT / "docs" / "topics" / "transports.md").read_text()


async def talk(cluster: Cluster, schemes: tuple[str, ...], **options: Any) -> None:
    """People who came by several ways are in one room."""
    gate = urlsplit(cluster.url()).netloc
    people = [
        Person(f"{scheme}{number}", f"{scheme}://{gate}", f"{scheme}{number}", **options)
        for scheme in schemes
        for number in range(2)
    ]
    for person in people:
        await person.start()
        await person.enter("pier")
    for number, person in enumerate(people):
        assert "error" not in await person.say(f"message {number} " + "x" * 300)
    for person in people:
        texts = await person.heard(len(people))
        assert [text.split()[1] for text in texts] == [str(n) for n in range(len(people))]
    for person in people:
        await person.close()


async def test_one_room_over_both_transports(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await talk(cluster, ("ws", "tcp"))


async def test_one_room_over_tls(tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue(tmp_path)
    client = replace(FAST.client, certificate=certificate.name, key=key.name)
    async with Cluster(tmp_path, settings=replace(FAST, client=client)) as cluster:
        await talk(cluster, ("wss", "tls"), ssl_context=authority.client)
        gate = urlsplit(cluster.url()).netloc
        for scheme in ("ws", "tcp"):
            with pytest.raises(Disconnected):
                await connect(f"{scheme}://{gate}").start()


async def test_a_client_on_tcp_knows_whether_to_come_back(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        url = cluster.url("connector").replace("ws:", "tcp:")
        frontend = cluster.running["connector-server-1"].frontend
        assert frontend is not None
        async with connect(url) as client:
            changes: list[Any] = []
            client.on_state(changes.append)
            await eventually(lambda: len(frontend.sessions) == 1)
            (session,) = frontend.sessions
            session.connection.close(SLOW_READER)
            await eventually(lambda: changes and changes[-1].state.value == "online")
            assert changes[0].state.value == "reconnecting"
            assert changes[0].ending.code == SLOW_READER.code
            await eventually(lambda: len(frontend.sessions) == 1)
            (session,) = frontend.sessions
            session.connection.close(KICKED.because("enough"))
            await eventually(lambda: changes[-1].state.value == "offline")
            assert changes[-1].ending.reason == "enough"


ENTRY = """
from typing import Any

from zchat import BackendSession, Handler


class EntryHandler(Handler):
    async def who(self, msg: Any, session: BackendSession) -> dict[str, Any]:
        return {"code": 200, "uid": session.uid, "address": session.address}
"""
SECRET = "a secret of at least thirty-two bytes"


def token(secret: str = SECRET, **claims: Any) -> str:
    return jwt.encode({"sub": "ann", "exp": time.time() + 60, **claims}, secret, "HS256")


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Project]:
    """The application of the page, with a handler."""
    found = re.search(r"^```python\n(# app\.py\n.*?)^```$", PAGE, re.M | re.S)
    assert found is not None
    files = {
        "tokens_app.py": found[1],
        "servers/connector/handler/entry_handler.py": ENTRY,
        "config/settings.toml": '[application]\nmodule = "tokens_app"\n'
        '[client]\ntrusted_proxies = ["127.0.0.1"]\n[journal]\npath = ""\n',
        "config/servers.json": json.dumps(
            {
                "development": {
                    "connector": [
                        {
                            "id": "connector-server-1",
                            "host": "127.0.0.1",
                            "port": 3150,
                            "clientPort": 3010,
                            "frontend": True,
                        }
                    ]
                }
            }
        ),
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    monkeypatch.syspath_prepend(str(tmp_path / "project"))
    async with Project.of_project(tmp_path / "project", tmp_path / "run") as cluster:
        yield cluster
    for name in [name for name in sys.modules if name.startswith("tokens_app")]:
        del sys.modules[name]


async def test_a_token_says_who_it_is(project: Project) -> None:
    for scheme in ("ws", "tcp"):
        url = project.url("connector-server-1").replace("ws:", f"{scheme}:")
        async with connect(url, user={"token": token(name="Ann")}) as client:
            assert client.user == {"name": "Ann"}
            answer = await client.request("connector.entryHandler.who")
            assert (answer["uid"], answer["address"]) == ("ann", "127.0.0.1")


@pytest.mark.parametrize(
    "user",
    [
        None,
        {},
        "token",
        {"token": 7},
        {"token": "x.y.z"},
        {"token": token("another secret of thirty-two bytes")},
        {"token": token(exp=time.time() - 60)},
        {"token": jwt.encode({"sub": "ann"}, SECRET, "HS256")},
    ],
)
async def test_no_token_no_entry(project: Project, user: Any) -> None:
    client = Client(project.url("connector-server-1"), user=user)
    with pytest.raises(Disconnected, match="refused with code 500") as caught:
        await client.start()
    assert not caught.value.reconnect


async def test_the_address_behind_a_proxy_reaches_handlers(project: Project) -> None:
    peer = Peer()
    port = urlsplit(project.url("connector-server-1")).port
    await asyncio.get_running_loop().sock_connect(peer.sock, ("127.0.0.1", port))
    hello = {"sys": {"type": "t"}, "user": {"token": token()}}
    asked = message.encode_request(1, "connector.entryHandler.who", b"{}", EMPTY)
    packages = (
        package.encode(package.HANDSHAKE, body.dumps(hello)),
        package.encode(package.HANDSHAKE_ACK),
        package.encode(package.DATA, asked),
    )
    await peer.send(request(X_Forwarded_For="6.6.6.6, 203.0.113.5"))
    assert (await peer.response())[0] == 101
    await peer.send(masked(packages[0]))
    await peer.package()  # what is sent before the application's word is ignored
    await peer.send(b"".join(masked(item) for item in packages[1:]))
    said = [await peer.package() for _ in range(2)][1]
    answer = body.loads(message.decode(said.body, EMPTY).body)
    assert answer["address"] == "203.0.113.5"
    peer.close()


def test_the_other_blocks_of_the_page() -> None:
    app = Application(__file__)
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S):
        if not block.startswith(("# app.py", "async with")):
            exec(compile(block, "transports.md", "exec"), {"app": app, "Handshake": Handshake})
    assert app.is_blocked is not None
    assert not app.is_blocked("192.0.2.1")
    assert app.allows("js-websocket", "0.0.1")
    assert not app.allows("unity-socket", "0.1.0")


async def test_a_missing_certificate_stops_the_start(tmp_path: Path) -> None:
    client = replace(FAST.client, certificate="missing.pem")
    cluster = Cluster(tmp_path, {"connector": 1}, settings=replace(FAST, client=client))
    with pytest.raises(ConfigError, match=r"missing\.pem: no such file"):
        await cluster.start("connector-server-1")
