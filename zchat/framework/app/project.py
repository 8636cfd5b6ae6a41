"""A project folder's application: found by the name of its module."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from zchat.errors import ConfigError
from zchat.framework.app.application import Application


def application(folder: Path, module: str) -> Application:
    """The project's application: `app` in the module that settings.toml names.

    What the module itself raises while it is imported is let through: its author needs the
    traceback.

    Raises:
        ConfigError: there is no such module, or no application in it.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(f"application.module {module!r}: expected the name of a module")
    _look_here_first(folder, module)
    try:
        found = getattr(importlib.import_module(module), "app", None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and imports another one that is not
        raise ConfigError(f"no module {module} in {folder}: it should make the `app`") from None
    if not isinstance(found, Application):
        raise ConfigError(f"{module}: expected `app = Application(__file__)`")
    return found


def _look_here_first(folder: Path, module: str) -> None:
    """Let the project's own file be the module, whatever was imported under that name before."""
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    own = folder.joinpath(*module.split(".")).with_suffix(".py")
    known = getattr(sys.modules.get(module), "__file__", None)
    if known is not None and own.exists() and not own.samefile(known):
        del sys.modules[module]
        importlib.invalidate_caches()
