"""Free ports, as the kit for authors finds them: see `zchat.testing.ports`."""

from __future__ import annotations

from zchat.testing.ports import free_ports as free_ports
