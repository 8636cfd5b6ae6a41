"""What goes between publishers and subscribers, as bytes.

    from XPUB   publication    topic 0x00 payload
    from XSUB   subscribe      0x01 topic 0x00
                unsubscribe    0x00 topic 0x00
                tokens         0x02 token [0x00 token ...]

A topic is UTF-8 without NUL. ZeroMQ matches subscriptions by prefix; the 0x00 at the end of a topic
keeps a subscriber of `room1` from getting what is for `room10`.

A token is bytes without NUL that mean something to the publisher. It travels in the same pipe as
subscriptions and behind them, so that a publisher that sees a token knows that the subscriptions
made before it are at work.
"""

from __future__ import annotations

from typing import Final

SUBSCRIBE: Final = b"\x01"
UNSUBSCRIBE: Final = b"\x00"
TOKEN: Final = b"\x02"
BETWEEN_TOKENS: Final = b"\0"


def prefix(topic: str) -> bytes:
    """What every publication of `topic` begins with, and what a subscription to it names.

    Raises:
        ValueError: the topic holds a NUL.
    """
    if "\0" in topic:
        raise ValueError(f"a topic cannot hold a NUL: {topic!r}")
    return topic.encode() + b"\0"
