# SPDX-License-Identifier: GPL-2.0-or-later
"""Goes along with the engine through a capture, and keeps what the page shows, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict

from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.cluster import Cluster, Event
from scapy_chitchat.records.checks import Finding
from scapy_chitchat.records.classes import Ack, Syn
from scapy_chitchat.report.bins import FIRST_WIDTH
from scapy_chitchat.report.liveness import Liveness
from scapy_chitchat.report.spreading import Spreading
from scapy_chitchat.report.traffic import Traffic
from scapy_chitchat.report.troubles import Troubles

MOST_CLUSTERS = 8
"""The most clusters of one capture that are looked at; of others it is said that they are there."""

_MOST_PAIRS = 200_000
_MOST_RECENT = 256


class Collected:
    """What is kept of one cluster."""

    def __init__(self, start: int, threshold: float) -> None:
        self.traffic = Traffic(start)
        self.liveness = Liveness(start, threshold)
        self.spreading = Spreading()
        self.troubles = Troubles()


class Collector:
    """Fed with each message after the engine took it, and with each event."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.clusters: dict[str, Collected] = {}
        self.left_out: set[str] = set()
        """Clusters beyond those that are looked at."""
        self.lost = Traffic(0)
        """Messages of which no cluster can be told; what a node refuses is among them."""
        self.unassigned = 0
        """How many these are."""
        self._start = 0
        self._next_look = 0
        self._cluster_of: OrderedDict[tuple[str, str], str] = OrderedDict()
        """The cluster_id of the last Syn from the one address to the other."""
        self._recent: dict[bytes, list[Finding]] = {}

    def _collected(self, cluster_id: str) -> Collected | None:
        known = self.clusters.get(cluster_id)
        if known is None:
            if len(self.clusters) >= MOST_CLUSTERS:
                if len(self.left_out) < _MOST_RECENT:
                    self.left_out.add(cluster_id)
                return None
            known = self.clusters[cluster_id] = Collected(self._start, self.cluster.settings.threshold)
        return known

    def message(self, message: CapturedMessage) -> None:
        """A message that the engine has taken."""
        time = message.datagram.nanoseconds
        if not self._start:
            self._start, self._next_look = time, time + FIRST_WIDTH
            self.lost = Traffic(time)
        cluster_id = self._cluster(message)
        if cluster_id is None:
            self.lost.add(message, time, self._findings(message))
            self.unassigned += 1
        elif (collected := self._collected(cluster_id)) is not None:
            collected.traffic.add(message, time, self._findings(message))
        if time >= self._next_look:
            self.look(time)

    def _findings(self, message: CapturedMessage) -> list[Finding]:
        """What is to be said of a message; of equal ones that follow each other it is worked out once."""
        if message.datagram.cut:
            return message.findings
        data = message.datagram.data
        found = self._recent.get(data)
        if found is None:
            if len(self._recent) >= _MOST_RECENT:
                self._recent.clear()
            found = self._recent[data] = message.findings
        return found

    def _cluster(self, message: CapturedMessage) -> str | None:
        """The cluster that a message belongs to: that of the last Syn of its handshake."""
        record = message.message
        if isinstance(record, Syn):
            pair = message.source, message.destination
            self._cluster_of[pair] = record.cluster_id
            if len(self._cluster_of) > _MOST_PAIRS:
                self._cluster_of.popitem(last=False)
            return record.cluster_id
        if record is None:
            return None
        asked = (message.source, message.destination) if isinstance(record, Ack) else None
        return self._cluster_of.get(asked or (message.destination, message.source))

    def look(self, time: int) -> None:
        """Take a sample of who is alive for whom."""
        width = FIRST_WIDTH
        for cluster_id, glances in self.cluster.glance().items():
            collected = self._collected(cluster_id)
            if collected is not None:
                collected.liveness.look(time, glances)
                width = max(width, collected.liveness.samples.width)
        self._next_look = time + width

    def event(self, event: Event) -> None:
        """Something that the engine tells."""
        if event.cluster_id is None or (collected := self._collected(event.cluster_id)) is None:
            return
        collected.troubles.add(event)
        if event.event in ("changed", "deleted"):
            collected.spreading.changed(event)
        elif event.event == "propagated":
            collected.spreading.propagated(event)
        elif event.event == "dead" and isinstance(event.phi, float) and event.observer is not None:
            subject = event.node_id or "", event.generation_id or 0
            collected.liveness.dies(event.observer, subject, event.phi, event.time)
