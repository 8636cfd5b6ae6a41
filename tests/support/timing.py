"""Waiting in tests, as authors of applications do it: see `zchat.testing.timing`."""

from __future__ import annotations

from zchat.testing.timing import MS as MS
from zchat.testing.timing import PATIENCE as PATIENCE
from zchat.testing.timing import SCALE as SCALE
from zchat.testing.timing import eventually as eventually
