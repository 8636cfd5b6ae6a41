"""Somebody at the page: what a person in front of a browser does and sees."""

from __future__ import annotations

from typing import Literal, TypedDict

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, ViewportSize, expect

from tests.support.timing import MS

EVERYONE = "*"
"""The composer's choice for a message to all."""

SECONDS = 10_000 * MS
"""How long a person looks at the page until what they expect must be there."""

AGES = 30_000 * MS
"""The same after an outage: the page's own retries are up to 8 s apart by then."""

expect.set_options(timeout=SECONDS * 1000)


class Screen(TypedDict, total=False):
    """The device, as Playwright's `new_context` takes it."""

    viewport: ViewportSize
    device_scale_factor: float
    is_mobile: bool
    has_touch: bool
    timezone_id: str


DESK: Screen = {"viewport": {"width": 1280, "height": 800}}
PHONE: Screen = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 3,
    "is_mobile": True,
    "has_touch": True,
}


class Visitor:
    """A browser window with a profile of its own. Made by `Visitor.come`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        """What the browser complained of: warnings, errors, what the CSP refused."""
        self.requests: list[str] = []
        """The addresses from which the page took something."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))

    @classmethod
    async def come(
        cls, browser: Browser, url: str, screen: Screen = DESK, *, dark: bool = False
    ) -> Visitor:
        """Open the page in a new profile."""
        scheme: Literal["dark", "light"] = "dark" if dark else "light"
        context = await browser.new_context(**screen, color_scheme=scheme, locale="en-GB")
        visitor = cls(await context.new_page())
        await visitor.page.goto(url)
        return visitor

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self.problems.append(message.text)

    # What a person does

    async def enter(self, name: str, room: str) -> None:
        """Fill the first screen in, and see the second one."""
        await self.try_to_enter(name, room)
        await expect(self.at("room")).to_have_text(room)

    async def try_to_enter(self, name: str, room: str) -> None:
        """Fill the first screen in."""
        await self.at("entry-name").fill(name)
        await self.at("entry-room").fill(room)
        await self.at("entry-button").click()

    async def say(self, text: str, target: str = EVERYONE) -> None:
        """Write to all or to one, and press Enter."""
        await self.at("target").select_option(target)
        await self.at("text").fill(text)
        await self.at("text").press("Enter")
        await expect(self.at("text")).to_have_value("")

    async def try_now(self) -> None:
        """Press the button of the strip, once there is one: connect, or enter again."""
        await self.at("strip-again").click()

    async def network_is_back(self) -> None:
        """The device says so to its pages, which need not wait for their next attempt."""
        await self.page.evaluate("dispatchEvent(new Event('online')) && undefined")

    async def open_twin(self) -> Visitor:
        """Duplicate the tab: the same page in the same profile, with the same session storage."""
        async with self.page.expect_popup() as opened:
            await self.page.evaluate("window.open(location.href) && undefined")
        return Visitor(await opened.value)

    async def move_to(self, room: str) -> None:
        """Change the room, and see the other one."""
        await self.at("move").click()
        await self.at("moving-room").fill(room)
        await self.at("moving-go").click()
        await expect(self.at("room")).to_have_text(room)

    # What a person sees

    def at(self, name: str) -> Locator:
        """The part of the page with this `data-testid`."""
        return self.page.get_by_test_id(name)

    def notices(self, what: str) -> Locator:
        """Lines that are not messages: `joined`, `left`, `hole`, `here`, `problem`."""
        return self.page.locator(f"[data-testid=notice][data-what={what}]")

    async def sees(self, *texts: str, timeout: float = SECONDS) -> None:
        """These are all messages that stand, in this order; none of ours is on its way."""
        stand = self.at("timeline").get_by_test_id("message-text")
        await expect(stand).to_have_text(list(texts), timeout=timeout * 1000)
        await expect(self.at("outgoing").get_by_test_id("message")).to_have_count(0)

    async def texts(self) -> list[str]:
        """The messages that stand now."""
        return await self.at("timeline").get_by_test_id("message-text").all_text_contents()

    async def sees_people(self, *names: str) -> None:
        """These are all the people in the list, in this order."""
        people = self.at("people").locator("[data-testid=person] .who")
        await expect(people).to_have_text(list(names))

    async def is_online(self, timeout: float = AGES) -> None:
        """The page says so."""
        await self.is_in_state("online", timeout)

    async def is_in_state(self, state: str, timeout: float = SECONDS) -> None:
        """The page says so: `connecting`, `online`, `reconnecting` or `offline`."""
        where = self.at("state")
        await expect(where).to_have_attribute("data-state", state, timeout=timeout * 1000)

    async def leave_browser(self) -> None:
        """Close the window and its profile."""
        await self.page.context.close()
