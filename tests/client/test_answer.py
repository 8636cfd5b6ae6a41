from __future__ import annotations

from typing import Any

import pytest

from zchat.client import raise_for_code
from zchat.errors import ProtocolError, RequestError


@pytest.mark.parametrize("answer", [{}, {"users": []}, {"code": 200, "host": "x"}])
def test_answers_without_an_error(answer: dict[str, Any]) -> None:
    assert raise_for_code(answer) is answer


def test_answers_with_an_error() -> None:
    with pytest.raises(RequestError, match="name taken") as caught:
        raise_for_code({"code": 400, "error": "name taken", "path": "username", "message": "m"})
    assert caught.value.code == 400
    assert caught.value.fields == {"path": "username", "message": "m"}
    with pytest.raises(RequestError, match="answered with code 500"):
        raise_for_code({"code": 500, "error": True})
    with pytest.raises(ProtocolError, match="no object"):
        raise_for_code(42)
