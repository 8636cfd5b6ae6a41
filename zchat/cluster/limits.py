"""The bounds of the traffic between servers, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass

from zchat.cluster.envelope import MAX_MESSAGE
from zchat.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """What an RpcClient and an RpcServer keep to.

    Args:
        queue_bytes: per peer, what waits to be written and what waits for an answer together.
        requests: clients' requests go to a peer that is up until so many of them are unanswered.
        batch_bytes: a message is closed when its envelopes reach this size; a larger envelope
            travels alone.
        liveness_interval: seconds between pings.
        liveness_misses: a peer is lost after this many intervals of silence.
        peers: how many peers may have said Hello to one RpcServer.

    Raises:
        ConfigError: an envelope that fits the queue would not fit a message.
    """

    queue_bytes: int = 16 * 1024 * 1024
    requests: int = 4096
    batch_bytes: int = 64 * 1024
    liveness_interval: float = 1.0
    liveness_misses: int = 3
    peers: int = 1000

    def __post_init__(self) -> None:
        if self.queue_bytes > MAX_MESSAGE // 2:
            raise ConfigError(
                f"queue of {self.queue_bytes} bytes per peer: expected at most {MAX_MESSAGE // 2}"
            )

    @property
    def liveness(self) -> float:
        """Seconds of silence after which a peer is lost."""
        return self.liveness_interval * self.liveness_misses
