"""Answers that carry an error."""

from __future__ import annotations

from typing import Any

from zchat.errors import ProtocolError, RequestError


def raise_for_code(answer: Any) -> dict[str, Any]:
    """The answer, unless it carries an error.

    Args:
        answer: what `Client.request` returned.

    Raises:
        RequestError: its `code` is there and not 200. The error's `message` is the answer's
            `error`, and its `fields` are the other members.
        ProtocolError: it is no object.
    """
    if not isinstance(answer, dict):
        raise ProtocolError(f"an answer that is no object: {answer!r}")
    code = answer.get("code", 200)
    if code == 200:
        return answer
    told = answer.get("error")
    error = RequestError(told if isinstance(told, str) else f"answered with code {code}", code=code)
    error.fields = {key: value for key, value in answer.items() if key not in ("code", "error")}
    raise error
