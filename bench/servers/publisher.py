"""A chat worker whose own handlers publish, as fast as it lets them: no other process takes part.

    python -m bench.servers.publisher ROOMS IN_FLIGHT SECONDS      in a project folder

Prints `{"rate": acknowledged per second, "cpu": microseconds each}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from bench.worker import SERVER, TEXT
from zchat.ops import runner


async def main(rooms: int, in_flight: int, seconds: float) -> dict[str, float]:
    """Publish in so many rooms with so many callers, each of which waits for its own."""
    running = runner.make(Path.cwd(), SERVER)
    await running.start()
    done = 0

    async def talk(number: int, until: float) -> None:
        nonlocal done
        room = running.channels.get(f"room{number % rooms}")
        count = 0
        while time.perf_counter() < until:
            count += 1
            await room.publish("onChat", {"msg": TEXT}, uid=f"u{number}", cid=f"c{done}-{count}")
            done += 1

    async def all_talk(seconds: float) -> float:
        nonlocal done
        done, begun = 0, time.perf_counter()
        await asyncio.gather(*(talk(number, begun + seconds) for number in range(in_flight)))
        return time.perf_counter() - begun

    await all_talk(0.5)
    cpu = time.process_time()
    passed = await all_talk(seconds)
    cpu = time.process_time() - cpu
    await running.stop(0)
    return {"rate": done / passed, "cpu": cpu / done * 1e6}


if __name__ == "__main__":
    words = sys.argv[1:]
    print(json.dumps(asyncio.run(main(int(words[0]), int(words[1]), float(words[2])))))
