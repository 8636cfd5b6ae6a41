"""The page's JavaScript modules are tested in a page, so that no other runtime is needed.

The tests themselves are the `*.test.mjs` files beside this one; `node tests/web/run.mjs` runs the
same ones where node is installed.
"""

from __future__ import annotations

from typing import TypedDict

import tornado.web
from playwright.async_api import async_playwright
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from tests.support.browser import FLAGS, executable
from tests.support.sources import ROOT


class Result(TypedDict):
    """How one JavaScript test went."""

    name: str
    error: str | None


def _serve_project() -> tuple[HTTPServer, int]:
    handler = tornado.web.StaticFileHandler
    app = tornado.web.Application(
        [(rf"/{folder}/(.*)", handler, {"path": ROOT / folder}) for folder in ("webroot", "tests")]
    )
    listener, port = bind_unused_port()
    server = HTTPServer(app)
    server.add_socket(listener)
    return server, port


async def _results(url: str) -> list[Result]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        page = await browser.new_page()
        await page.goto(url)
        await page.wait_for_function("window.results")
        results: list[Result] = await page.evaluate("window.results")
        await browser.close()
    return results


async def test_the_modules_of_the_page() -> None:
    server, port = _serve_project()
    try:
        results = await _results(f"http://127.0.0.1:{port}/tests/web/index.html")
    finally:
        server.stop()
        await server.close_all_connections()
    assert [f"{item['name']}\n{item['error']}" for item in results if item["error"]] == []
    written = sum(path.read_text().count("\ntest(") for path in ROOT.glob("tests/web/*/*.test.mjs"))
    assert len(results) == written, "all.mjs does not import every *.test.mjs"
