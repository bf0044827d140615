# SPDX-License-Identifier: GPL-2.0-or-later
"""A UDP socket to one node, from which is sent and on which its answers come back."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import suppress
from types import TracebackType
from typing import TypeAlias

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""As ``socket`` has it: host and port first, and four items for IPv6."""

LARGEST_DATAGRAM = 65535
"""Bytes that are received at the most."""
BUFFER_SIZE = 4 * 1024 * 1024
"""Bytes that are asked for in each direction; the system may give fewer."""


def connected_to(address: Address) -> socket.socket:
    """A socket that sends to ``address`` and receives from there alone. Raises OSError.

    The system gives it any free port: also, where nobody listens yet, the very one that it shall send to. Then it
    would hear itself, and nobody else could listen there; so another socket is taken.
    """
    made = _connected_to(address)
    if made.getsockname()[:2] != made.getpeername()[:2]:
        return made
    try:
        return connected_to(address)  # while ``made`` still holds that port, so that it is not given again
    finally:
        made.close()


def _connected_to(address: Address) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if len(address) == 4 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_SIZE)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_SIZE)
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


IP_RECVERR, IPV6_RECVERR = 11, 25
"""Linux: also a socket that is not connected is told that nobody listens where it sent to."""


class Line:
    """A socket that sends to one address, and hears whoever answers: also from another address.

    A node that listens at all addresses of its machine answers from the one that the system likes best. ``address`` and
    ``own_address`` are as the system spells them. It never blocks. Where the system is not Linux, it hears nobody else.
    """

    def __init__(self, address: Address) -> None:
        """Raises OSError where there is no way to ``address``."""
        opened = connected_to(address)
        self.address: Address = opened.getpeername()
        if sys.platform == "linux":
            opened = _unconnected(opened)
        opened.setblocking(False)
        self._socket = opened
        self.own_address: Address = opened.getsockname()

    def send(self, data: bytes) -> None:
        """Send one datagram. Raises BlockingIOError, ConnectionRefusedError for what was sent before, and OSError."""
        try:
            if sys.platform == "linux":
                self._socket.sendto(data, self.address)
            else:
                self._socket.send(data)
        except ConnectionRefusedError:
            self._forget_errors()
            raise

    def receive(self) -> tuple[bytes, Address] | None:
        """The next datagram and who sent it, if there is one. Raises ConnectionRefusedError, and OSError."""
        try:
            data, sender = self._socket.recvfrom(LARGEST_DATAGRAM)
        except BlockingIOError:
            self._forget_errors()
            return None
        except OSError as error:
            self._forget_errors()
            if error.errno == errno.EMSGSIZE:  # a smaller MTU on the way has become known: what comes next is cut to it
                return None
            raise
        return data, sender

    def _forget_errors(self) -> None:
        """Empty the queue of errors, which would make the socket look readable for ever."""
        if sys.platform == "linux":
            with suppress(BlockingIOError):
                while True:
                    self._socket.recvmsg(1, 512, socket.MSG_ERRQUEUE)

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _unconnected(connected: socket.socket) -> socket.socket:
    """A socket like this one, in its place, that hears everybody."""
    own, peer = connected.getsockname(), connected.getpeername()
    held = [connected]
    try:
        while True:
            made = socket.socket(connected.family, socket.SOCK_DGRAM)
            held.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_SIZE)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_SIZE)
            made.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            if connected.family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            made.bind((own[0], 0, *own[2:]))
            if made.getsockname()[1] != peer[1]:
                return held.pop()
    finally:
        for each in held:
            each.close()
