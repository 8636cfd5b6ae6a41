"""How much is done in a run that is meant to take long: `make soak` sets ZCHAT_SOAK to 1.

Where it is empty or 0, as in the normal run, nothing takes long.
"""

from __future__ import annotations

import os

SOAK = os.environ.get("ZCHAT_SOAK", "0") not in ("", "0")


def rounds(usual: int, soak: int) -> int:
    """How often something is tried: in the normal run, or in a soak."""
    return soak if SOAK else usual
