"""Rendezvous hashing (highest random weight; Thaler and Ravishankar, 1998).

Every process that knows the same ids picks the same one for a key, and when an id comes or goes
only the keys that it wins or held change hands. The hash is BLAKE2b, keyed by the id: stable over
processes, machines and Python versions, which Python's own `hash` is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

_KEY_BYTES = 64
"""BLAKE2b keys end here; longer ids are hashed down first."""


def _weight(node: str, key: bytes) -> bytes:
    name = node.encode()
    if len(name) > _KEY_BYTES:
        name = blake2b(name).digest()
    return blake2b(key, digest_size=8, key=name).digest()


def choose(key: str, nodes: Iterable[str]) -> str | None:
    """The node that wins `key`; None when there are no nodes. Ties go to the greater id."""
    data = key.encode("utf-8", "surrogatepass")
    return max(nodes, key=lambda node: (_weight(node, data), node), default=None)
