"""python -m tests.sim SEED [...]: run the simulation; see docs/topics/simulation.md."""

from __future__ import annotations

import sys

from tests.sim import clock

clock.install()  # before anything of zchat is loaded

from tests.sim.command import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
