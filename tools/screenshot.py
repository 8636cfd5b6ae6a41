"""Makes the README's pictures of the chat: people talk at real pages, through a real cluster.

    .venv/bin/python -m tools.screenshot        writes docs/chat.png and docs/chat-phone.png

The pictures show the fonts of this machine: with Debian's fonts-inter, fonts-urw-base35,
fonts-noto-cjk and fonts-noto-color-emoji they look as they do in the README.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import Browser, async_playwright, expect

from tests.support.browser import FLAGS, executable
from tests.support.processes import Processes
from tests.support.visitor import DESK, EVERYONE, PHONE, Screen, Visitor

DOCS = Path(__file__).parents[1] / "docs"
SERVERS = {"gate": 1, "connector": 2, "chat": 2, "web": 1}

ROOM = "sunday_walk"
TALK = (
    ("Mira", EVERYONE, "Good morning! Sunday will be dry from ten o'clock on. Shall we?"),
    ("Tomás", EVERYONE, "Yes! The coast path, from the lighthouse to the old harbour?"),
    ("Tomás", EVERYONE, "11 km, and a café half way: https://example.org/coast-path"),
    ("由紀", EVERYONE, "行きます。I'll bring onigiri for everybody 🍙"),
    ("Noor", EVERYONE, "Count me in, and my sister's dog. The train at 9:12, platform 4?"),
    ("Mira", EVERYONE, "9:12 it is. Dogs are welcome."),
    ("Mira", "Noor", "It's his birthday. Could you bring the cake tin? Not a word to him!"),
    ("Noor", "Mira", "Already in my bag 🎂"),
    ("Tomás", EVERYONE, "Why has it become so quiet in here?"),
    ("由紀", EVERYONE, "No reason at all 🙂"),
)
"""Who says what to whom; Mira and Noor, who see all of it, are in the pictures."""

SYSTEM_FONT = "document.documentElement.style.setProperty('--sans', 'Inter, sans-serif')"
"""A machine without a desktop has no system font, which the page would use; this stands in."""


def morning() -> str:
    """A time zone in which it is ten in the morning: nobody plans a walk at night."""
    east = (10 - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-east:+d}"  # POSIX counts the other way round


async def meet(browser: Browser, url: str) -> dict[str, Visitor]:
    """All of them in the room."""
    zone = morning()
    desk: Screen = {**DESK, "device_scale_factor": 2, "timezone_id": zone}
    phone: Screen = {**PHONE, "device_scale_factor": 2, "timezone_id": zone}
    people = {
        "由紀": await Visitor.come(browser, url),
        "Mira": await Visitor.come(browser, url, desk),
        "Tomás": await Visitor.come(browser, url),
        "Noor": await Visitor.come(browser, url, phone, dark=True),
    }
    for name, visitor in people.items():
        await visitor.enter(name, ROOM)
    return people


async def talk(people: dict[str, Visitor], lines: Iterable[tuple[str, str, str]]) -> None:
    """Each line once the one before has arrived at whom it is for."""
    for name, target, text in lines:
        await people[name].say(text, target)
        for listener in people if target == EVERYONE else (name, target):
            stands = people[listener].at("timeline").get_by_test_id("message-text").last
            await expect(stands).to_have_text(text)
    for visitor in people.values():
        await visitor.at("target").select_option(EVERYONE)


async def picture(visitor: Visitor, name: str) -> None:
    """Write a picture of what somebody sees."""
    await visitor.page.evaluate(SYSTEM_FONT)
    await visitor.page.screenshot(path=DOCS / name, animations="disabled", caret="initial")
    print(f"docs/{name}: {(DOCS / name).stat().st_size // 1000} kB")


async def main() -> None:
    """Start a cluster, let people talk, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        async with Processes(Path(folder), SERVERS) as cluster, async_playwright() as playwright:
            chromium = playwright.chromium
            browser = await chromium.launch(executable_path=executable(), args=FLAGS)
            url = f"http://127.0.0.1:{cluster.line('web-server-1')['clientPort']}/"
            people = await meet(browser, url)
            await talk(people, TALK)
            await people["Mira"].at("text").fill("See you on the platform")
            await picture(people["Mira"], "chat.png")
            await picture(people["Noor"], "chat-phone.png")
            await browser.close()


if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    asyncio.run(main())
