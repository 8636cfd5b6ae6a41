"""Where sockets come from: one ZeroMQ context with the options that all its sockets share."""

from __future__ import annotations

import contextlib
import os
from typing import Final

import zmq

from zchat.cluster.curve import Security
from zchat.cluster.envelope import MAX_MESSAGE
from zchat.cluster.zap import Authenticator
from zchat.config.exposure import require_secure
from zchat.errors import ConfigError

# What was written just before close still goes out, but a peer that reads nothing holds up the end
# of the process by no more than this.
_LINGER_MS: Final = 250

# Finds links whose other end is gone without a word (machine or cable), where TCP by itself would
# wait for many minutes: idle ones by the kernel's probes, others by unacknowledged data. Not by
# ZMTP's heartbeat: libzmq 4.3.5 aborts the process ("Assertion failed: _input_stopped") when a
# heartbeat times out on a link whose reader is RCVHWM behind, as any loop that was held up is. A
# peer whose process runs but whose loop hangs is found by our own pings.
_KEEPALIVE_IDLE_S: Final = 2
_KEEPALIVE_INTERVAL_S: Final = 1
_KEEPALIVE_PROBES: Final = 3
_UNACKNOWLEDGED_MS: Final = 5000

# Steady, not exponential: a server that comes back is found within 200 ms (libzmq adds up to the
# same again at random), and a refused connect costs microseconds.
_RECONNECT_MS: Final = 100

# A frozen process still accepts TCP (its kernel does). Without this a link to it would stay in its
# handshake for 30 s after it woke up.
_HANDSHAKE_MS: Final = 2000
_CONNECT_TIMEOUT_MS: Final = 2000


class Context:
    """A ZeroMQ context. One per process; tests with several servers in a process use one each.

    `close` comes after all that was made from it was closed; it ends what was not, and never takes
    longer than the linger.

    Args:
        security: keys and allow-list of every socket, or plain.
        io_threads: libzmq's threads; one moves far more than a Python process asks of it.
    """

    def __init__(self, security: Security | None = None, io_threads: int = 1) -> None:
        self._security = security or Security()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads)
        self._authenticator: Authenticator | None = None

    def socket(
        self, kind: int, *, send_high_water: int, receive_high_water: int
    ) -> zmq.Socket[bytes]:
        """A socket with the shared options; high-water marks are in messages, 0 means none."""
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, _LINGER_MS)
        socket.setsockopt(zmq.SNDHWM, send_high_water)
        socket.setsockopt(zmq.RCVHWM, receive_high_water)
        # Without it one length field of a hostile peer makes libzmq allocate gigabytes.
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        socket.setsockopt(zmq.HEARTBEAT_IVL, 0)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_INTERVAL_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_PROBES)
        socket.setsockopt(zmq.TCP_MAXRT, _UNACKNOWLEDGED_MS)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_TIMEOUT_MS)
        return socket

    def bind(self, socket: zmq.Socket[bytes], address: str) -> str:
        """Binds with this context's security.

        Returns:
            The address with the port that was chosen, where it said 0.

        Raises:
            ConfigError: nothing protects an address that other machines can reach.
            OSError: the address is taken or not ours.
        """
        self._require_secure(address)
        self._protect_server(socket)
        _allow_ipv6(socket, address)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            raise OSError(
                error.errno, f"cannot bind {address}: {os.strerror(error.errno or 0)}"
            ) from error
        return socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def connect(self, socket: zmq.Socket[bytes], address: str, server_key: bytes | None) -> None:
        """Connects with this context's security; whether the peer is there shows later.

        Raises:
            ConfigError: as `bind`; or we have keys but do not know the peer's, or the address is
                none.
        """
        keys = self._security.keys
        self._require_secure(address)
        if keys is not None:
            if server_key is None:
                raise ConfigError(f"{address}: expected the public key of this server")
            socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
            socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
            socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
        _allow_ipv6(socket, address)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            raise ConfigError(f"cannot connect to {address}: {error.strerror}") from error

    def reconnect(self, socket: zmq.Socket[bytes], address: str, server_key: bytes | None) -> None:
        """Begins the link to `address` anew; what libzmq kept for it is thrown away."""
        # ENOENT: libzmq has given the link up by itself.
        with contextlib.suppress(zmq.ZMQError):
            socket.disconnect(address)
        self.connect(socket, address, server_key)

    def reload_allowed(self) -> None:
        """Reads the allow-list again, for servers that were added.

        Raises:
            ConfigError: it is broken; the old one stays in force.
        """
        if self._authenticator is not None:
            self._authenticator.reload()

    def close(self) -> None:
        """Closes what is still open and waits for the linger of the rest. Idempotent."""
        if self._authenticator is not None:
            self._authenticator.close()
            self._authenticator = None
        self._context.destroy(linger=0)

    def _require_secure(self, address: str) -> None:
        keyed = self._security.keys is not None
        require_secure(address, keyed=keyed, insecure=self._security.insecure)

    def _protect_server(self, socket: zmq.Socket[bytes]) -> None:
        keys, allowed = self._security.keys, self._security.allowed
        if keys is None:
            return
        if allowed is None:
            # CURVE alone would let in everyone who has our public key.
            raise ConfigError("CURVE needs a folder of the public keys that may connect")
        if self._authenticator is None:
            self._authenticator = Authenticator(self._context, allowed)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, b"zchat")
        # Nobody gets in if the authenticator is not there to ask.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def _allow_ipv6(socket: zmq.Socket[bytes], address: str) -> None:
    """Only for an IPv6 literal: with it on, libzmq would look up `localhost` as ::1."""
    socket.setsockopt(zmq.IPV6, int("[" in address))
