"""The browser that tests start; `tools/browser.sh` sees to it that there is one."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The system's Chromium, for Playwright's `launch(executable_path=...)`; None: its own."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
