"""gunicorn's gthread worker, whose threads no slow client keeps: a request gets one when its header is there.

Without this, as many clients as there are threads could stop the service by sending a header byte by byte. A
proxy in front (deploy/nginx) does the same; whoever has none is not helpless.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

from toolcatalog import refusals

# From the first byte, or from the connection's first moment, to the end of the header.
HEADER_SECONDS = 10.0
# From then to the end of the body.
BODY_SECONDS = 60.0
_END = b"\r\n\r\n"
_USUAL_BYTES = 4_096
# A longer header is gunicorn's to refuse.
_LONGEST_BYTES = 65_536
_LOOK_AGAIN_SECONDS = 0.02


class Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log, without a line for each request: the application writes its own where it is to."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Say nothing, and spend no time on it: a fifth of that of a cached answer."""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """The worker; all but `handle_request` runs in its main thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._partial: deque[tuple[TConn, float]] = deque()
        self._bodies: dict[TConn, float] = {}

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread when the header of its next request is there."""
        self._enqueue_when_whole(conn, time.monotonic() + HEADER_SECONDS)

    def _enqueue_when_whole(self, conn: TConn, deadline: float) -> None:
        received = None if self._is_with_gunicorn(conn) else _peek(conn.sock)
        if received is None or _END in received or len(received) >= _LONGEST_BYTES:
            conn.data_ready = True
            super().enqueue_req(conn)
        elif received:
            self._partial.append((conn, deadline))
        else:
            conn.timeout = deadline
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _is_with_gunicorn(self, conn: TConn) -> bool:
        """Tell whether it cannot be looked at: TLS, or a request that was read with the one before."""
        return self.cfg.is_ssl or (conn.parser is not None and conn.parser.unreader.buf.getvalue())

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, but not long while a header is on its way."""
        super().wait_for_and_dispatch_events(_LOOK_AGAIN_SECONDS if self._partial else timeout)

    def murder_pending(self) -> None:
        """Close connections that are too slow, and look whether the headers of others are there now."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in [self._partial.popleft() for _ in range(len(self._partial))]:
            if deadline > now:
                self._enqueue_when_whole(conn, deadline)
            else:
                self.nr_conns -= 1
                conn.close()
        for conn, deadline in list(self._bodies.items()):
            if deadline < now:
                _stop_reading(conn.sock)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer a request, in a thread of the pool."""
        self._bodies[conn] = time.monotonic() + BODY_SECONDS
        try:
            return super().handle_request(req, conn)
        finally:
            self._bodies.pop(conn, None)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what is no request, or failed outside the application, as the application answers errors."""
        request_id = secrets.token_hex(16)
        log = self.log.exception if refusals.refusal_of(exc) is refusals.FAILURE else self.log.warning
        who = addr[0] if addr else "unix"
        log("A request of %s was refused: %s", who, exc, extra={"request_id": request_id})
        with suppress(OSError):  # the client may be gone
            util.write_nonblock(client, refusals.response(exc, request_id))


def _peek(sock: socket.socket) -> bytes | None:
    """Return what has arrived and not been read, b"" if nothing; None when the connection has ended."""
    try:
        received = sock.recv(_USUAL_BYTES, socket.MSG_PEEK)
        if len(received) == _USUAL_BYTES and _END not in received:
            received = sock.recv(_LONGEST_BYTES, socket.MSG_PEEK)
    except BlockingIOError:
        return b""
    except OSError:
        return None
    return received or None


def _stop_reading(sock: socket.socket) -> None:
    with suppress(OSError):  # it has just been closed
        sock.shutdown(socket.SHUT_RD)
