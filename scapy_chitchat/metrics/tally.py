# SPDX-License-Identifier: GPL-2.0-or-later
"""What is counted message by message: types and bytes, refusals, and the engine's events.

The engine is held within bounds here: what is long gone it forgets, and where more is heard than a cluster can be, all
is begun anew, so that days of listening and a flood of invented nodes end in the same memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.cluster import Cluster, Event
from scapy_chitchat.metrics.labels import ClusterLabels
from scapy_chitchat.metrics.table import BUCKETS, TROUBLES
from scapy_chitchat.wire.protocol import MessageType

UNREADABLE = "unreadable"
"""The type of a message of which nobody can tell it."""

_SINGLE = {
    "reset": "chitchat_resets_total",
    "restarted": "chitchat_restarts_total",
    "dead": "chitchat_deaths_total",
    "not-read": "chitchat_not_read_total",
    "not-captured": "chitchat_not_captured_total",
}
"""Events that have a metric of their own."""

_TROUBLES = frozenset(TROUBLES)

HOUR = 3600 * 10**9
"""Nanoseconds after which a run that nobody names any more is forgotten."""

_EVERY = 1000
"""Messages between two looks at how much the engine holds."""

MOST_HELD = 500_000
"""Replicas, versions and waiting messages that the engine may hold: as of 700 nodes that all observe all. A replica
takes 5 kB once its window of heartbeats is full."""

MOST_KNOWN = 50_000
"""Runs, addresses and clusters that it may know."""


class Traffic:
    """Messages of one type."""

    __slots__ = ("bytes", "messages")

    def __init__(self) -> None:
        self.messages = self.bytes = 0


class Propagation:
    """A histogram: how many changes took up to so many seconds; not cumulated."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


class Tally:
    """The counters, and the engine behind them."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.labels = ClusterLabels()
        self.traffic: dict[str, Traffic] = {kind: Traffic() for kind in (*MessageType.__members__, UNREADABLE)}
        """By type of message."""
        self.refused: Counter[str] = Counter()
        self.events: Counter[tuple[str, str]] = Counter()
        """By metric and cluster."""
        self.unanswered: Counter[tuple[str, str]] = Counter()
        """By cluster and type."""
        self.troubles: Counter[tuple[str, str]] = Counter()
        """By cluster and event."""
        self.propagation: dict[str, Propagation] = {}
        """By cluster."""
        self.begun_anew = 0
        self._last: CapturedMessage | None = None
        self._until_look = _EVERY
        self._forgot = 0

    @property
    def last(self) -> int:
        """When the last message came; nanoseconds since the epoch, 0 where none did."""
        return self._last.datagram.nanoseconds if self._last else 0

    def take(self, message: CapturedMessage) -> None:
        """Count a message and what it shows to have happened."""
        read = message.message
        traffic = self.traffic[UNREADABLE if read is None else read.type]
        traffic.messages += 1
        traffic.bytes += len(message.datagram.data)
        self._last = message
        if message.error is not None:
            self.refused[message.error.code] += 1
        for event in self.cluster.feed(message):
            self._happens(event)
        self._until_look -= 1
        if not self._until_look:
            self._look()

    def _happens(self, event: Event) -> None:
        kind, cluster = event.event, self.labels.of(event.cluster_id or "")
        if (name := _SINGLE.get(kind)) is not None:
            self.events[name, cluster] += event.count if isinstance(event.count, int) else 1
        elif kind == "propagated" and isinstance(event.seconds, float):
            self.propagation.setdefault(cluster, Propagation()).add(event.seconds)
        elif kind == "unanswered" and isinstance(event.type, str):
            self.unanswered[cluster, event.type] += 1
        elif kind in _TROUBLES:
            self.troubles[cluster, kind] += 1

    def _look(self) -> None:
        """Keep the engine within bounds."""
        self._until_look = _EVERY
        last = self.last
        if last - self._forgot > HOUR // 60:
            self._forgot = last
            self.cluster.forget(last - HOUR)
        if self.cluster.known() > MOST_KNOWN or self.cluster.held() > MOST_HELD:
            self.cluster = Cluster()
            self.begun_anew += 1
