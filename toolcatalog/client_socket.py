"""A client's connection that never makes its thread wait for the client, and the least rate for all clients.

Knows sockets and no HTTP; `worker` decides what becomes of a connection.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import deque
from typing import Any

# After these seconds a client has to have sent, or taken, this much a second on average.
GRACE_SECONDS = 10.0
LEAST_BYTES_PER_SECOND = 10_000
# As much of a request as is looked at before it is read.
MAX_PEEK_BYTES = 65_536
_USUAL_BYTES = 4_096
# A response that is made piece by piece waits in its thread while more than this is unsent.
_MAX_STREAM_AHEAD_BYTES = 256 * 1024
_LOOK_EVERY_SECONDS = 0.5


class TooSlow(ConnectionResetError):
    """A client takes less than the least rate; gunicorn treats it as one that is gone."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the client takes too little")


class ClientSocket(socket.socket):
    """A client's connection, whose `sendall` keeps what the client does not take yet in `unsent`.

    A whole response is taken in at once, whatever its size: it is in memory already. One that is made piece
    by piece waits, in its thread, while more than `_MAX_STREAM_AHEAD_BYTES` are unsent.
    """

    unsent_bytes = 0
    received = 0
    _wake_at = 1
    _sent_since = 0
    _waiting_since = 0.0

    @classmethod
    def of(cls, accepted: socket.socket) -> ClientSocket:
        """Take over an accepted socket."""
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        return cls(family, kind, protocol, fileno=accepted.detach())

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive as a socket does, and count what was received."""
        data = super().recv(size, flags)
        self.received += len(data)
        return data

    def peek(self) -> bytes | None:
        """Return what has arrived and not been read, b"" if nothing; None when the connection has ended."""
        try:
            arrived = super().recv(_USUAL_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if len(arrived) == _USUAL_BYTES:
                arrived = super().recv(MAX_PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        return arrived or None

    def wake_at(self, count: int) -> None:
        """Be readable only when so many bytes are there; Unix sockets are for any."""
        if count != self._wake_at:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._wake_at = count

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send what the client takes at once, and keep the rest.

        Raises:
            OSError: when the connection is broken, or the client takes too little of a stream.
        """
        if not self.unsent_bytes:
            sent = self._send_now(data)
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
            self._waiting_since, self._sent_since = time.monotonic(), 0
            self._unsent: deque[memoryview] = deque()
        while self.unsent_bytes > _MAX_STREAM_AHEAD_BYTES:
            self._wait_until_writable()
            self.flush()
        self._unsent.append(memoryview(data))
        self.unsent_bytes += len(data)

    def flush(self) -> bool:
        """Send what is unsent, as far as the client takes it; True when nothing is left.

        Raises:
            OSError: when the connection is broken, or the client takes too little.
        """
        while self.unsent_bytes:
            first = self._unsent[0]
            sent = self._send_now(first)
            self.unsent_bytes -= sent
            self._sent_since += sent
            if sent < len(first):
                self._unsent[0] = first[sent:]
                if self.is_too_slow():
                    raise TooSlow
                return False
            self._unsent.popleft()
        return True

    def is_too_slow(self) -> bool:
        """Tell whether the client takes less than the least rate."""
        waited = time.monotonic() - self._waiting_since
        return self.unsent_bytes > 0 and is_below_least_rate(self._sent_since, waited)

    def _send_now(self, data: Any) -> int:
        try:
            return self.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _wait_until_writable(self) -> None:
        poller = select.poll()
        poller.register(self, select.POLLOUT)
        while not poller.poll(1000 * _LOOK_EVERY_SECONDS):
            if self.is_too_slow():
                raise TooSlow


def is_below_least_rate(count: int, seconds: float) -> bool:
    """Tell whether so many bytes are too few for the time that they took."""
    return count < LEAST_BYTES_PER_SECOND * (seconds - GRACE_SECONDS)
