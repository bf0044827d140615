# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking a node one thing, and waiting for the answer.

There is no transaction id: whatever comes while an answer is waited for is shown to the asker, who says whether it is
the answer. What questions there are stands here too: they leave a node as it was, but for its own heartbeat.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from scapy_chitchat.net.udp import LARGEST_DATAGRAM, Address, Line
from scapy_chitchat.records.classes import NodeDigest, Syn, SynAck
from scapy_chitchat.records.codec import encode

LOOK_UP = 0.05
"""Seconds after which, while an answer is waited for, it is looked whether there is any hope left."""

Found = TypeVar("Found")
"""What becomes of a datagram; None where it is not wanted."""


def syn(version: int, cluster_id: str, digest: Iterable[NodeDigest] = ()) -> bytes:
    """A Syn: a node of the cluster answers with a SynAck of its own digest, and of what this digest lacks.

    Raises ValueError for what no message can hold.
    """
    return encode(Syn(version, cluster_id=cluster_id, digest=tuple(digest)))


def telling_nothing(version: int, digest: Iterable[NodeDigest] = ()) -> bytes:
    """A SynAck with an empty delta: a node answers it, unasked as it is, with an Ack of what this digest lacks.

    The Ack has no digest, so more key-values fit in than into a SynAck, and it comes from nodes whose SynAck fits no
    datagram. A node does not ask of which cluster a SynAck is. Raises ValueError for what no message can hold.
    """
    return encode(SynAck(version, digest=tuple(digest)))


def ask(
    line: Line,
    question: bytes | None,
    seconds: float,
    wanted: Callable[[bytes, Address], Found],
    *,
    hopeless: Callable[[], bool] | None = None,
) -> Found | None:
    """What ``wanted`` makes of the first datagram that it wants; None where within ``seconds`` no such one comes.

    ``wanted`` is shown each datagram and its sender. ``question`` is sent first; None where it is on its way already.
    ``hopeless`` is asked now and then whether there is nothing to wait for any more. Raises ConnectionRefusedError
    where nobody listens, and OSError.
    """
    if question is not None:
        send(line, question)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not (hopeless and hopeless()):
        select.select([line], [], [], min(left, LOOK_UP) if hopeless else left)
        received = line.receive()
        found = wanted(*received) if received else None
        if found is not None:
            return found
    return None


def send(line: Line, data: bytes) -> None:
    """Send one datagram; while the system has no room for it, wait. Raises ConnectionRefusedError, and OSError."""
    while True:
        try:
            return line.send(data)
        except BlockingIOError:
            select.select([], [line], [], LOOK_UP)


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
