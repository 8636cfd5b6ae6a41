"""How many events a second of CPU time simulates: python -m bench.simulation [SEEDS]

An event is what comes through a simulated link, a call of the journal, or what a client does or is
shown. Ticks of servers and steps of tasks are not counted; they are paid for all the same.
"""

from __future__ import annotations

import os
import subprocess
import sys

SEEDS = "40"


def main() -> int:
    """Run the simulation in a process of its own, as its tests do."""
    seeds = sys.argv[1] if len(sys.argv) > 1 else SEEDS
    command = [sys.executable, "-m", "tests.sim", "1", "--count", seeds, "--failures", seeds]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print("\n".join(run.stdout.splitlines()[-2:]) or run.stderr)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
