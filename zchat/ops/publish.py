"""`zchat publish`: into a room from a shell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zchat.client import Publisher
from zchat.config import settings
from zchat.errors import ConfigError
from zchat.framework.app.project import application
from zchat.rooms.stream import StreamPosition


@dataclass(frozen=True, slots=True)
class Post:
    """What is to be published; see `Publisher.publish`."""

    room: str
    body: dict[str, Any]
    route: str = ""
    """Empty: the application's own, see `Application.own_channels`."""

    uid: str = ""
    cid: str = ""
    to: Sequence[str] | None = None


def body_of(text: str) -> dict[str, Any]:
    """The body that a text of JSON is.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected a JSON object: {error}") from None
    if not isinstance(body, dict):
        raise ValueError(f"expected a JSON object, found {text[:50]}")
    return body


async def publish(folder: Path, post: Post, timeout: float) -> StreamPosition:
    """Publish it, as the project in that folder is configured.

    Raises:
        ConfigError: the configuration is wrong, or no route is known.
        ValueError, RequestError: see `Publisher.publish`.
    """
    async with Publisher(folder, timeout=timeout) as publisher:
        route = post.route or _posts(folder)
        return await publisher.publish(
            post.room, route, post.body, uid=post.uid, cid=post.cid, to=post.to
        )


def _posts(folder: Path) -> str:
    module = settings.load(folder / "config" / "settings.toml").application.module
    route = application(folder, module).posts
    if not route:
        raise ConfigError(f"no route: expected --route, or own_channels(..., posts=) in {module}")
    return route
