# SPDX-License-Identifier: GPL-2.0-or-later
"""What takes time to see: a message that is not answered, and frames that were captured twice.

A SynAck never comes twice, because each states another heartbeat of its sender: two equal ones prove that the
capture has
frames doubled. Then every second one of equal messages between the same addresses is passed over; before that none is,
because nodes do send equal Syns and Acks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from scapy_chitchat.cluster.inbox import Delivered
from scapy_chitchat.cluster.liveness import SECOND

_LEAST = SECOND
"""Nobody is called slow before this."""

_ROUNDS = 3
"""Nor before so many rounds."""

_MOST = 100_000


class Unanswered:
    """The messages that wait for an answer, oldest first."""

    def __init__(self) -> None:
        self._due: deque[tuple[int, Delivered, str]] = deque()

    def sent(self, message: Delivered, destination: str, interval: int) -> None:
        """A Syn or a SynAck goes out in a cluster of this gossip interval."""
        self._due.append((message.time + max(_LEAST, _ROUNDS * interval), message, destination))
        if len(self._due) > _MOST:
            self._due.popleft()

    def overdue(self, now: int) -> Iterator[tuple[Delivered, str]]:
        """Those that have waited too long by now, and where they went."""
        due = self._due
        while due and due[0][0] < now:
            _, message, destination = due.popleft()
            if not message.read_at:
                yield message, destination


class Doubles:
    """Whether a message was captured before."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, tuple[str, str, bytes]]] = deque()
        self._times: dict[tuple[str, str, bytes], int] = {}
        self._proven = False
        self.count = 0

    def is_double(self, source: str, destination: str, data: bytes, kind: str, now: int) -> bool:
        """Take a message into account; whether it is to be passed over."""
        while self._recent and (self._recent[0][0] < now - SECOND or len(self._recent) > _MOST):
            _, old = self._recent.popleft()
            self._times[old] -= 1
            if not self._times[old]:
                del self._times[old]
        if kind != "SynAck" and not self._proven:
            return False
        key = (source, destination, data)
        times = self._times.get(key, 0)
        self._times[key] = times + 1
        self._recent.append((now, key))
        self._proven = self._proven or times > 0
        if (times > 0) if kind == "SynAck" else times % 2:
            self.count += 1
            return True
        return False
