"""A worker of its own process for the join race: admits who is joined as the file says.

Speaks to a bare DEALER: [topic, token] asks to join; the answer comes when the token was seen, and
the topic's first publication goes out in the same moment. Prints its two addresses, ends at EOF.
"""

from __future__ import annotations

import asyncio
import sys

import zmq

from zchat.cluster.context import Context
from zchat.cluster.drain import Drain
from zchat.cluster.publisher import Publisher


async def main() -> None:
    context = Context()
    seen: set[bytes] = set()
    waiting: dict[bytes, tuple[bytes, bytes]] = {}
    router = context.socket(zmq.ROUTER, send_high_water=0, receive_high_water=0)

    def admit(routing_id: bytes, topic: bytes) -> None:
        publisher.publish(topic.decode(), b"first")
        router.send_multipart([routing_id, b"joined"])
        drain.check()

    def on_token(token: bytes) -> None:
        if token in waiting:
            admit(*waiting.pop(token))
        else:
            seen.add(token)

    def burst(budget: int) -> bool:
        for _ in range(budget):
            try:
                routing_id, topic, token = router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            if token in seen:
                seen.discard(token)
                admit(routing_id, topic)
            else:
                waiting[token] = (routing_id, topic)
        return True

    publisher = Publisher(context, on_token)
    print(context.bind(router, "tcp://127.0.0.1:0"), publisher.bind("tcp://127.0.0.1:0"))
    sys.stdout.flush()
    drain = Drain(router, burst)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    drain.close()
    router.close()
    publisher.close()
    context.close()


if __name__ == "__main__":
    asyncio.run(main())
