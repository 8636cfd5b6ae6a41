"""The browser that tests start; `tools/browser.sh` sees to it that there is one."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")

FLAGS = (
    "--no-sandbox",  # containers run tests as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""For `launch(args=...)`: a browser that asks nobody for anything."""


def executable() -> str | None:
    """The system's Chromium, for Playwright's `launch(executable_path=...)`; None: its own."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
