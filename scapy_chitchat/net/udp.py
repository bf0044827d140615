# SPDX-License-Identifier: GPL-2.0-or-later
"""A UDP socket to one node, from which is sent and on which its answers come back."""

from __future__ import annotations

import socket
from typing import Any

Address = tuple[Any, ...]
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
