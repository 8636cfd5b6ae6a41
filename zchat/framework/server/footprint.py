"""What a process has used so far."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

_PAGES = Path("/proc/self/statm")


def footprint() -> dict[str, Any]:
    """`cpu`: seconds of it, in all threads; `memory`: resident bytes, left out where the system
    does not say so as Linux does."""
    used: dict[str, Any] = {"cpu": round(time.process_time(), 6)}
    if _PAGES.exists():
        used["memory"] = int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return used
