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
from math import inf

from scapy_chitchat.cluster.inbox import Delivered
from scapy_chitchat.cluster.liveness import SECOND
from scapy_chitchat.cluster.speakers import Speaker

_LEAST = SECOND
"""Nobody is called slow before this."""

_ROUNDS = 3
"""Nor before so many rounds."""

_MOST = 100_000


class Unanswered:
    """The messages that wait for an answer, oldest first."""

    def __init__(self) -> None:
        self._due: deque[tuple[int, Delivered, str]] = deque()
        self.next_due: float = inf
        """When the oldest has waited too long."""

    def sent(self, message: Delivered, destination: str, interval: int) -> None:
        """A Syn or a SynAck goes out in a cluster of this gossip interval."""
        patience = _ROUNDS * interval
        self._due.append((message.time + (patience if patience > _LEAST else _LEAST), message, destination))
        if len(self._due) > _MOST:
            self._due.popleft()
        self.next_due = self._due[0][0]

    def overdue(self, now: int) -> Iterator[tuple[Delivered, str]]:
        """Those that have waited too long by now, and where they went."""
        due = self._due
        while due and due[0][0] < now:
            _, message, destination = due.popleft()
            if not message.read_at:
                yield message, destination
        self.next_due = due[0][0] if due else inf


_Frame = tuple[Speaker, Speaker, bytes]
"""From whom to whom, and what."""


class Doubles:
    """Whether a message was captured before."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, _Frame]] = deque()
        self._times: dict[_Frame, int] = {}
        self._stale: float = inf
        """When the oldest of them is of no interest any more."""
        self._proven = False
        self.count = 0

    def looks_at(self, kind: str, now: int) -> bool:
        """Whether a message of this type says anything to ``is_double``."""
        return kind == "SynAck" or self._proven or self._stale < now

    def is_double(self, source: Speaker, destination: Speaker, data: bytes, kind: str, now: int) -> bool:
        """Take a message into account; whether it is to be passed over."""
        recent = self._recent
        while recent and (recent[0][0] < now - SECOND or len(recent) > _MOST):
            _, old = recent.popleft()
            self._times[old] -= 1
            if not self._times[old]:
                del self._times[old]
        self._stale = recent[0][0] + SECOND if recent else inf
        if kind != "SynAck" and not self._proven:
            return False
        key = (source, destination, data)
        times = self._times.get(key, 0)
        self._times[key] = times + 1
        recent.append((now, key))
        self._stale = recent[0][0] + SECOND
        self._proven = self._proven or times > 0
        if (times > 0) if kind == "SynAck" else times % 2:
            self.count += 1
            return True
        return False
