"""The page's server: what it serves, with which headers, and what it does not."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ops.project import Project
from tests.support.cluster import FAST
from zchat.chat.app import app as chat
from zchat.config.servers import ServersFile, load
from zchat.framework.server.running import Running
from zchat.ops.web import WebComponent, entry

PAGE = "<!doctype html><title>chat</title>" + "<p>hello</p>" * 200


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, "gate", "connector", "chat", "web")
    root = tmp_path / "webroot"
    (root / "js").mkdir()
    (root / "index.html").write_text(PAGE)
    (root / "js" / "main.js").write_text("export {};\n")
    (tmp_path / "secret.txt").write_text("secret")
    return project


@pytest.fixture
async def running(project: Project) -> AsyncIterator[Running]:
    servers = ServersFile(project.servers_json, "development")
    running = Running(chat, servers, "web-server-1", FAST, project.folder)
    running.components.append(WebComponent(running, project.folder / "webroot"))
    await running.start()
    yield running
    await running.stop()
    await running.components[0].stop()


class Response:
    def __init__(self, head: bytes, body: bytes) -> None:
        line, *fields = head.decode().split("\r\n")
        self.status = int(line.split()[1])
        self.headers = {n.lower(): v for n, _, v in (field.partition(": ") for field in fields)}
        self.body = body


def unchunked(body: bytes) -> bytes:
    """Without the sizes that stand between the pieces (RFC 9112, section 7.1)."""
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole


async def ask(running: Running, path: str, method: str = "GET", **headers: str) -> Response:
    """One request as it is written: no client tidies the path up."""
    port = running.server.client_port
    fields = {"Host": "chat.example", "Connection": "close", **headers}
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\n{named}\r\n".encode())
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return Response(head, body)


@pytest.mark.parametrize("path", ["/", "/index.html", "/?since=1"])
async def test_the_page_is_served(running: Running, path: str) -> None:
    answer = await ask(running, path)
    assert (answer.status, answer.body.decode()) == (200, PAGE)
    assert answer.headers["content-type"].startswith("text/html")
    assert running.components[0].status() == {"http_requests": 1}


@pytest.mark.parametrize("path", ["/", "/js/main.js", "/entry.json", "/healthz", "/nothing"])
async def test_nothing_foreign_may_run(running: Running, path: str) -> None:
    headers = (await ask(running, path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "zchat"
    assert headers["cache-control"] == "no-cache"
    assert headers["referrer-policy"] == "no-referrer"


async def test_modules_have_a_type_that_browsers_run(running: Running) -> None:
    assert "javascript" in (await ask(running, "/js/main.js")).headers["content-type"]


async def test_the_client_for_pages_comes_with_the_package(running: Running) -> None:
    answer = await ask(running, "/zchat/index.js")
    assert answer.status == 200
    assert "javascript" in answer.headers["content-type"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert b"export { Client } from './client.js';" in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/zchat/",
        "/zchat/../app/main.js",
        "/zchat/%2e%2e/app/main.js",
        "/js",
        "/js/",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/js/../../secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/index.html%00.js",
        "/%ff",
        "/" + "x" * 5000,
        "/.hidden",
    ],
)
async def test_what_is_not_the_pages_is_not_served(running: Running, path: str) -> None:
    answer = await ask(running, path)
    assert answer.status in (301, 400, 403, 404)
    assert answer.headers.get("location", "/js/") == "/js/"
    assert b"secret" not in answer.body.replace(b"secret.txt", b"")
    assert b"root:" not in answer.body
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize("path", ["/", "/entry.json", "/healthz"])
async def test_head_is_get_without_the_body(running: Running, path: str) -> None:
    get, head = await ask(running, path), await ask(running, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == str(len(get.body))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/entry.json"])
async def test_nothing_can_be_changed(running: Running, path: str, method: str) -> None:
    assert (await ask(running, path, method, Content_Length="0")).status == 405


async def test_nothing_is_uploaded(running: Running) -> None:
    assert (await ask(running, "/", "POST", Content_Length="1000000")).status == 400


async def test_a_page_that_did_not_change_is_not_sent_again(
    running: Running, project: Project
) -> None:
    tag = (await ask(running, "/")).headers["etag"]
    again = await ask(running, "/", If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")
    page = project.folder / "webroot" / "index.html"
    page.write_text(PAGE.replace("hello", "HELLO"))
    os.utime(page, ns=(1, 1))
    changed = await ask(running, "/", If_None_Match=tag)
    assert changed.status == 200
    assert b"HELLO" in changed.body


async def test_pages_are_compressed_for_who_can_read_that(running: Running) -> None:
    answer = await ask(running, "/", Accept_Encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(unchunked(answer.body)).decode() == PAGE


# Where the cluster is


async def test_the_page_is_told_of_the_gate(running: Running, project: Project) -> None:
    answer = await ask(running, "/entry.json")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == {"gate": {"port": project.line("gate")["clientPort"]}}


def test_a_host_that_is_written_is_told(project: Project) -> None:
    project.line("gate")["clientHost"] = "chat.example"
    project.write()
    assert entry(load(project.servers_json, "development")) == {
        "gate": {"host": "chat.example", "port": project.line("gate")["clientPort"]}
    }


def test_without_a_gate_it_is_a_connector(project: Project) -> None:
    del project.servers["gate"]
    project.write()
    assert entry(load(project.servers_json, "development")) == {
        "connector": {"port": project.line("connector")["clientPort"]}
    }


def test_without_either_there_is_nowhere_to_go(project: Project) -> None:
    project.servers = {"web": project.servers["web"]}
    project.write()
    assert entry(load(project.servers_json, "development")) == {}


async def test_health(running: Running) -> None:
    answer = await ask(running, "/healthz")
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok", "id": "web-server-1"})
    running._state = "stopping"
    assert (await ask(running, "/healthz")).status == 503
    running._state = "degraded"
    assert (await ask(running, "/healthz")).status == 200
    running._state = "ok"
