"""Applications made of classes that stand in tests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from zchat import Application
from zchat.naming import pascal

_numbers = itertools.count()


def application(folder: Path, parts: Mapping[str, type]) -> Application:
    """An application whose handlers and remotes are these classes.

    Args:
        folder: where its files are written.
        parts: by place, such as `area/remote/area_remote`.
    """
    root = folder / "application"
    for place, cls in parts.items():
        path = root / "servers" / f"{place}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        code = f"from {cls.__module__} import {cls.__qualname__} as {pascal(path.stem)}\n"
        path.write_text(code)
    app = Application(str(root / "app.py"))
    app._package = f"tests_application_{next(_numbers)}"
    return app
