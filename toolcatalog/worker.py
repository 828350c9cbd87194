"""gunicorn's gthread worker, whose threads no slow client holds, on whichever side it is slow.

gunicorn gives a connection to a thread and lets it wait there for what the client sends and takes. As many
slow clients as there are threads would stop the service. Here the main thread waits for them, in its poller:

* A request gets a thread when its header has arrived, and its body too unless that is large (`_Arrival`).
* Large and chunked bodies are read in a few of the threads, and at a least rate.
* What a client does not take of a response is sent on by the main thread, at a least rate (`ClientSocket`).
* A connection that is closed lingers in the poller, not in a blocking drain.

A proxy in front (deploy/nginx) does much of this; whoever has none is not helpless.
"""

from __future__ import annotations

import errno
import re
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

from toolcatalog import refusals
from toolcatalog.client_socket import (
    GRACE_SECONDS,
    MAX_PEEK_BYTES,
    ClientSocket,
    is_below_least_rate,
)

# From the first byte, or from the connection's first moment, until the request is there.
ARRIVAL_SECONDS = 10.0
# What waits in memory for clients to take it. The response that has waited longest goes first.
MAX_UNSENT_BYTES = 64_000_000
_LINGER_SECONDS = 2.0
_MAX_LINGERING = 500
_STOP_SECONDS_WITHOUT_PARENT = 2
# The body of a request that was answered without reading it: what has not arrived by then is not waited for.
_UNREAD_BODY_SECONDS = 0.05
_LOOK_EVERY_SECONDS = 0.5
_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NOTHING_TO_ACCEPT = {errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK}

_END = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n", re.IGNORECASE)
# Of these the body is read in a thread: its length is not known, or the client waits to be asked for it.
_UNKNOWN_BODY = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.IGNORECASE)


class Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log, without a line for each request: the application writes its own where it is to."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Say nothing, and spend no time on it: a fifth of that of a cached answer."""


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection of the worker; `is_upload` while a large body is read of it."""

    is_upload = False
    upload_begun = (0.0, 0)

    def __init__(self, *arguments: Any, linger: Callable[[socket.socket], None]) -> None:
        super().__init__(*arguments)
        self._linger = linger

    def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - as gunicorn has it
        """Close at once, or when the client has read the end of the response (RFC 9112, 9.6)."""
        if graceful:
            self._linger(self.sock)
        else:
            super().close()


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """The worker; all but `handle` and what it calls runs in its main thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # While a request arrives: until when it has to be there, and how much was at the last look.
        self._arriving: dict[Connection, tuple[float, int]] = {}
        self._uploading: set[Connection] = set()
        self._waiting_uploads: dict[Connection, float] = {}
        self._max_uploads = max(1, self.cfg.threads // 4)
        # In the order in which they began to wait.
        self._sending: dict[Connection, Any] = {}
        self._lingering: dict[socket.socket, float] = {}
        self._next_look = 0.0
        self._in_threads = 0

    def busy_threads(self) -> int:
        """Count the threads that work on a request."""
        return min(self._in_threads, int(self.cfg.threads))

    # --- Connections come

    def accept(self, listener: Any) -> None:
        """Accept a connection; without a file descriptor for it, leave it waiting and go on."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                self.log.warning(
                    "No connection can be accepted: %s. Raise the limit (ulimit -n).", error.strerror
                )
                time.sleep(_UNREAD_BODY_SECONDS)  # it would be offered again at once
            elif error.errno not in _NOTHING_TO_ACCEPT:
                raise
            return
        self.nr_conns += 1
        client = ClientSocket.of(accepted)
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname(), linger=self._linger))

    # --- Requests arrive

    def enqueue_req(self, conn: Connection) -> None:
        """Give a connection to a thread when its next request is there."""
        self._enqueue_when_there(conn, time.monotonic() + ARRIVAL_SECONDS, 0)

    def _enqueue_when_there(self, conn: Connection, deadline: float, seen: int) -> None:
        buffered = b"" if conn.parser is None else conn.parser.unreader.buf.getvalue()
        ahead = conn.sock.peek() if isinstance(conn.sock, ClientSocket) else None
        if ahead is None or seen == len(buffered) + len(ahead) > 0:
            # TLS; or the connection has ended, maybe in the middle of a request: gunicorn sees to that.
            self._give_to_thread(conn)
            return
        missing = _missing(buffered + ahead)
        if missing == 0:
            self._give_to_thread(conn)
        elif missing is None:
            self._begin_upload(conn)
        else:
            self._arriving[conn] = (deadline, len(buffered) + len(ahead))
            conn.sock.wake_at(len(ahead) + missing)
            self._register(conn, EVENT_READ, self._on_arrival)

    def _on_arrival(self, conn: Connection, _: Any) -> None:
        self.poller.unregister(conn.sock)
        deadline, seen = self._arriving.pop(conn)
        self._enqueue_when_there(conn, deadline, seen)

    def _register(self, conn: Connection, event: int, callback: Callable[[Connection, Any], None]) -> None:
        conn.sock.settimeout(0)
        self.poller.register(conn.sock, event, partial(callback, conn))

    def _give_to_thread(self, conn: Connection) -> None:
        if isinstance(conn.sock, ClientSocket):
            conn.sock.wake_at(1)  # also for who reads it in the thread
        conn.data_ready = True
        self._in_threads += 1
        super().enqueue_req(conn)

    # --- Large bodies

    def _begin_upload(self, conn: Connection) -> None:
        if len(self._uploading) >= self._max_uploads:
            self._waiting_uploads[conn] = time.monotonic() + GRACE_SECONDS
            return
        conn.is_upload = True
        conn.upload_begun = (time.monotonic(), conn.sock.received)
        self._uploading.add(conn)
        self._give_to_thread(conn)

    def _end_upload(self, conn: Connection) -> None:
        conn.is_upload = False
        self._uploading.discard(conn)
        if self._waiting_uploads:
            following = next(iter(self._waiting_uploads))
            del self._waiting_uploads[following]
            self._begin_upload(following)

    # --- Responses leave

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """Go on with a connection whose request was answered, once the client has taken the response."""
        self._in_threads -= 1
        if conn.is_upload:
            self._end_upload(conn)
        if not getattr(conn.sock, "unsent_bytes", 0):
            super().finish_request(conn, fs)
            return
        self._sending[conn] = fs
        self._register(conn, EVENT_WRITE, self._on_writable)
        while (
            sum(each.sock.unsent_bytes for each in self._sending) > MAX_UNSENT_BYTES
            and len(self._sending) > 1
        ):
            self._drop_sending(next(iter(self._sending)))

    def _on_writable(self, conn: Connection, _: Any) -> None:
        try:
            is_sent = conn.sock.flush()
        except OSError:
            self._drop_sending(conn)
            return
        if is_sent:
            self.poller.unregister(conn.sock)
            super().finish_request(conn, self._sending.pop(conn))

    def _drop_sending(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._sending[conn]
        self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:  # noqa: FBT001 - as gunicorn has it
        """Keep a connection unless a body that nobody read is still on its way."""
        deadline = time.monotonic() + _UNREAD_BODY_SECONDS
        return keepalive and bool(conn.parser.finish_body(deadline=deadline))

    # --- Connections go

    def _linger(self, sock: socket.socket) -> None:
        if len(self._lingering) >= _MAX_LINGERING:
            sock.close()
            return
        try:
            sock.settimeout(0)
            sock.shutdown(socket.SHUT_WR)
            self.poller.register(sock, EVENT_READ, self._on_lingering)
        except OSError:  # it is closed already
            sock.close()
        else:
            self._lingering[sock] = time.monotonic() + _LINGER_SECONDS

    def _on_lingering(self, sock: socket.socket) -> None:
        try:
            if sock.recv(MAX_PEEK_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end_lingering(sock)

    def _end_lingering(self, sock: socket.socket) -> None:
        del self._lingering[sock]
        self.poller.unregister(sock)
        sock.close()

    def murder_pending(self) -> None:
        """Close connections that are too slow; looks at them now and then, as it is called all the time."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_SECONDS
        for conn in [conn for conn, (deadline, _) in self._arriving.items() if deadline < now]:
            del self._arriving[conn]
            self.poller.unregister(conn.sock)
            self._drop(conn)
        for conn in [conn for conn, deadline in self._waiting_uploads.items() if deadline < now]:
            del self._waiting_uploads[conn]
            self._drop(conn)
        for conn in [conn for conn in self._sending if conn.sock.is_too_slow()]:
            self._drop_sending(conn)
        for sock in [sock for sock, deadline in self._lingering.items() if deadline < now]:
            self._end_lingering(sock)
        for conn in self._uploading:
            begun, received = conn.upload_begun
            if is_below_least_rate(conn.sock.received - received, now - begun):
                _stop_reading(conn.sock)

    # --- The parent goes

    def is_parent_alive(self) -> bool:
        """Tell whether the master is there. Without it, let go of the port at once, and end soon."""
        if super().is_parent_alive():
            return True
        self.alive = False
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        self.cfg.set("graceful_timeout", _STOP_SECONDS_WITHOUT_PARENT)
        return False

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what is no request, or failed outside the application, as the application answers errors."""
        request_id = secrets.token_hex(16)
        log = self.log.exception if refusals.refusal_of(exc) is refusals.FAILURE else self.log.warning
        who = addr[0] if addr else "unix"
        log("A request of %s was refused: %s", who, exc, extra={"request_id": request_id})
        with suppress(OSError):  # the client may be gone
            client.sendall(refusals.response(exc, request_id))


def _missing(arrived: bytes) -> int | None:
    """Return how many bytes of a request have not arrived, at least; None when a thread has to read it."""
    end = arrived.find(_END)
    if end < 0:
        return 1 if len(arrived) < MAX_PEEK_BYTES else 0
    if arrived.startswith((b"GET ", b"HEAD ")):
        return 0  # nothing here reads a body of these
    head = arrived[: end + 2]
    if _UNKNOWN_BODY.search(head):
        return None
    length = _CONTENT_LENGTH.search(head)
    whole = end + len(_END) + (int(length[1]) if length else 0)
    if whole > MAX_PEEK_BYTES:
        return None
    return max(0, whole - len(arrived))


def _stop_reading(sock: socket.socket) -> None:
    with suppress(OSError):  # it has just been closed
        sock.shutdown(socket.SHUT_RD)
