# SPDX-License-Identifier: GPL-2.0-or-later
"""The events of one cluster, grouped by kind and by whom they are about."""

from __future__ import annotations

from collections import Counter

from scapy_chitchat.cluster import Event
from scapy_chitchat.cluster.events import Kind

MOST_NAMES = 1000
"""The most nodes that are told apart for a kind of event."""

MARKED = frozenset({"restarted", "silent", "stuck", "contested", "contradiction", "odd-address", "digest-near-limit"})
"""The kinds that are marked on the axis of time."""

_MOST_MARKS = 400


class Group:
    """The events of one kind."""

    def __init__(self, first: Event) -> None:
        self.first = first
        self.count = 0
        self.about: Counter[str] = Counter()
        """By node_id."""
        self.reasons: Counter[str] = Counter()
        """What the first events say, where their kind says why."""

    def add(self, event: Event) -> None:
        """One more."""
        self.count += 1
        name = event.node_id if event.node_id is not None else "?"
        if name in self.about or len(self.about) < MOST_NAMES:
            self.about[name] += 1
        for said in (event.why, event.what, event.other_cluster):
            if isinstance(said, str) and (said in self.reasons or len(self.reasons) < _MOST_REASONS):
                self.reasons[said] += 1


_MOST_REASONS = 20


class Troubles:
    """What happened in a cluster."""

    def __init__(self) -> None:
        self.kinds: dict[Kind, Group] = {}
        self.marks: list[Event] = []
        """Events to be marked, as many as a picture can show."""
        self.unmarked = 0
        """How many more there were."""
        self.unanswered: Counter[tuple[str | None, str]] = Counter()
        """Syns and SynAcks without an answer, by the sender's node_id and the address they went to."""

    def add(self, event: Event) -> None:
        """Count an event."""
        group = self.kinds.get(event.event)
        if group is None:
            group = self.kinds[event.event] = Group(event)
        group.add(event)
        if event.event in MARKED:
            if len(self.marks) < _MOST_MARKS:
                self.marks.append(event)
            else:
                self.unmarked += 1
        elif event.event == "unanswered" and isinstance(event.to, str):
            pair = event.node_id, event.to
            if pair in self.unanswered or len(self.unanswered) < _MOST_PAIRS:
                self.unanswered[pair] += 1


_MOST_PAIRS = 100_000
