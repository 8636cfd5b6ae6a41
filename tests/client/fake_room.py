"""Rooms on a fake server: they number, keep, know repeats, and fail as they are told to."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from tests.client.fake_server import NO_ANSWER, FakeServer

ENTER = "hall.entryHandler.enter"
MOVE = "hall.entryHandler.move"
SAY = "talk.talkHandler.say"
HISTORY = "talk.talkHandler.history"
NEWS = "onNews"

LOST = object()
"""A fault: it is done, but the connection breaks before the answer."""

LATE = object()
"""A fault: it is done, but the answer does not come."""

CUT = object()
"""A fault: it is not done, and the connection breaks."""


class FakeRooms:
    """All rooms of a server; everybody connected is in the one that was entered last.

    Args:
        server: whose requests it answers.
        page: publications in an answer.
    """

    def __init__(self, server: FakeServer, page: int = 2) -> None:
        self.server = server
        self.page = page
        self.here = ""
        self.epoch = "e"
        self.rooms: dict[str, list[dict[str, Any]]] = {}
        self.faults: deque[object] = deque()
        """What becomes of the next requests: None, a fault, or the body of an error's answer."""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Requests, in order."""
        for route in (ENTER, MOVE, SAY, HISTORY):
            self.server.handlers[route] = partial(self._answer, route)

    @property
    def said(self) -> list[str]:
        """What was said in the room, in order."""
        return [publication["said"] for publication in self.rooms[self.here]]

    def asked_for(self, route: str) -> list[dict[str, Any]]:
        """The requests on a route."""
        return [body for asked, body in self.asked if asked == route]

    def publish(self, said: str, cid: str = "x", *, push: bool = True) -> dict[str, Any]:
        """Say something, as somebody else."""
        journal = self.rooms.setdefault(self.here, [])
        place = {"epoch": self.epoch, "offset": len(journal) + 1}
        journal.append({"said": said, "id": cid, **place})
        if push:
            self.server.push(NEWS, journal[-1])
        return place

    def _answer(self, route: str, body: dict[str, Any]) -> Any:
        self.asked.append((route, body))
        fault = self.faults.popleft() if self.faults else None
        if isinstance(fault, dict):
            return fault
        answer = None if fault is CUT else self._done(route, body)
        if fault in (LOST, CUT):
            self.server.connections[-1].drop()
        return answer if fault is None else NO_ANSWER

    def _done(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        if route in (ENTER, MOVE):
            self.here = body["room"]
            return self._entered(self.rooms.setdefault(self.here, []), body.get("since"))
        if route == HISTORY:
            return self._history(self.rooms[self.here], **body)
        return self._say(body["said"], body["cid"])

    def _say(self, said: str, cid: str) -> dict[str, Any]:
        for known in self.rooms[self.here]:
            if known["id"] == cid:
                return {"epoch": known["epoch"], "offset": known["offset"]}
        return self.publish(said, cid)

    def _entered(self, journal: list[dict[str, Any]], since: Any) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "people": ["ann"],
            "position": {"epoch": self.epoch, "offset": len(journal)},
        }
        if since is None:
            return answer
        if since["epoch"] != self.epoch:
            return {**answer, "recovered": False, "publications": [], "next": 0}
        page = self._history(journal, after=since["offset"], limit=self.page)
        return {**answer, "recovered": True, **page}

    def _history(
        self, journal: list[dict[str, Any]], limit: int, after: int = 0, before: int | None = None
    ) -> dict[str, Any]:
        rows = [{**row, "route": NEWS} for row in journal]
        if before is not None:
            page = rows[: before - 1][-limit:]
            return {"publications": page, "more": before > limit + 1, "next": before - limit}
        page = rows[after:][: min(limit, self.page)]
        more = bool(page) and page[-1]["offset"] < len(rows)
        return {"publications": page, "more": more, "next": page[-1]["offset"] if more else 0}
