# SPDX-License-Identifier: GPL-2.0-or-later
"""The question that a node answers with all that it knows, and the wait for what comes back.

It is a Syn with an empty digest. A node of that cluster answers it with a SynAck, one of another with BadCluster, and
neither takes the asker into its cluster.
"""

from __future__ import annotations

import select
import socket
import time

from scapy_chitchat.net.udp import LARGEST_DATAGRAM
from scapy_chitchat.records.classes import Syn
from scapy_chitchat.records.codec import encode


def question(cluster_id: str, version: int = 0) -> bytes:
    """The Syn that asks a node of this cluster. Raises ValueError for a cluster_id that no message can hold."""
    return encode(Syn(version, cluster_id=cluster_id))


def next_datagram(opened: socket.socket, until: float) -> bytes | None:
    """The next datagram that comes to a socket; None where none comes before ``until``, a time of time.monotonic.

    Raises ConnectionRefusedError where an earlier datagram reached a machine on which nobody listens.
    """
    while (left := until - time.monotonic()) > 0:
        readable, _, _ = select.select([opened], [], [], left)
        if not readable:
            return None
        try:
            return opened.recv(LARGEST_DATAGRAM, socket.MSG_DONTWAIT)
        except BlockingIOError:
            continue  # it had a bad checksum, which shows only now
    return None
