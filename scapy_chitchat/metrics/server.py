# SPDX-License-Identifier: GPL-2.0-or-later
"""The metrics over HTTP: GET /metrics, and nothing else.

The threads of the server ask, and whoever feeds the counters answers when it suits; who is not answered in time is told
so (503). The address is bound at once, and served from later on: between the two root may be given up.
"""

from __future__ import annotations

import socket
import socketserver
import sys
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import cast

from prometheus_client.metrics_core import Metric as Family

from scapy_chitchat.metrics.families import written

PATIENCE = 5.0
"""Seconds in which there must be an answer, and a request."""

MOST_AT_ONCE = 16
"""Connections that are served at once; further ones are closed."""

PATH = "/metrics"
"""Where Prometheus looks unless told otherwise."""


_Request = socket.socket | tuple[bytes, socket.socket]


class Questions:
    """What threads want to know of the one that knows."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Future[list[Family]]] = SimpleQueue()

    def ask(self) -> list[Family]:
        """The metrics; waits for them. Raises TimeoutError."""
        asked: Future[list[Family]] = Future()
        self._waiting.put(asked)
        try:
            return asked.result(PATIENCE)
        except futures.TimeoutError:  # in Python 3.10 not the one of everybody else
            raise TimeoutError from None

    def answer(self, make: Callable[[], list[Family]]) -> None:
        """Answer all who wait, if anybody does: between two messages, and often."""
        if self._waiting.empty():
            return
        made = make()
        try:
            while True:
                self._waiting.get_nowait().set_result(made)
        except Empty:
            return


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server_version = "scapy-chitchat"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._say(404, f"the metrics are at {PATH}\n")
            return
        try:
            families = cast(Server, self.server).questions.ask()
        except TimeoutError:
            self._say(503, "no answer in time: whoever reads the messages is held up\n")
            return
        self._send(200, *written(families, self.headers.get("Accept", "")))

    def _say(self, status: int, text: str) -> None:
        self._send(status, "text/plain; charset=utf-8", text.encode())

    def _send(self, status: int, content: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Who reads the metrics is nobody's news."""


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """Serves the metrics at one address. Raises OSError where it cannot be bound."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int) -> None:
        self.questions = Questions()
        self._free = BoundedSemaphore(MOST_AT_ONCE)
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        super().__init__((str(address[0]), port), _Handler)

    def server_bind(self) -> None:
        """Bind the address. The name of this machine, which HTTPServer asks for, may take a long time to find."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can read the metrics."""
        return ip_address(str(self.server_address[0]).partition("%")[0]).is_loopback

    @property
    def url(self) -> str:
        """Where the metrics are."""
        host = str(self.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}{PATH}"

    def start(self) -> None:
        """Serve from now on, in threads of its own."""
        Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def process_request(self, request: _Request, client_address: object) -> None:
        """Serve one connection, if not too many are open."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: _Request, client_address: object) -> None:
        """One connection, from its beginning to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke off is the reader's affair; all else is a mistake of ours, and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
