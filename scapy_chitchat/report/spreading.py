# SPDX-License-Identifier: GPL-2.0-or-later
"""How changes got round in one cluster, out of its events: how long it took, which keys and observers were last."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from msgspec import UNSET

from scapy_chitchat.cluster import Event

EDGES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""Seconds at which the stretches of the distribution end; the last one is open."""

_MOST_KEYS = 2000
_MOST_OBSERVERS = 2000
_VERSIONS_BACK = 64
"""So many versions of a run have their keys remembered until they are everywhere."""

Owner = tuple[str | None, int | None]
"""node_id and generation_id of a run."""


class Spread:
    """How long the versions of one key took to be everywhere."""

    __slots__ = ("count", "longest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """One more version."""
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)


class Spreading:
    """What the events of a cluster tell of its changes."""

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES) + 1)
        """Versions by the time until everybody had them."""
        self.longest = 0.0
        self.keys: dict[tuple[str | None, str], Spread] = {}
        """By node_id and key."""
        self.last: Counter[str] = Counter()
        """How often an observer was the last one."""
        self.changes = 0
        self._key_of: dict[Owner, dict[int, str]] = {}

    def changed(self, event: Event) -> None:
        """A key-value is seen for the first time."""
        self.changes += 1
        if isinstance(event.version, int) and isinstance(event.key, str):
            keys = self._key_of.setdefault((event.node_id, event.generation_id), {})
            keys[event.version] = event.key
            if len(keys) > _VERSIONS_BACK:
                del keys[next(iter(keys))]

    def propagated(self, event: Event) -> None:
        """A version is everywhere."""
        if event.seconds is UNSET or event.version is UNSET:
            return
        seconds = float(event.seconds)
        self.counts[bisect_left(EDGES, seconds)] += 1
        self.longest = max(self.longest, seconds)
        key = self._key_of.get((event.node_id, event.generation_id), {}).get(event.version)
        if key is not None and ((event.node_id, key) in self.keys or len(self.keys) < _MOST_KEYS):
            self.keys.setdefault((event.node_id, key), Spread()).add(seconds)
        if isinstance(event.last, str) and (event.last in self.last or len(self.last) < _MOST_OBSERVERS):
            self.last[event.last] += 1

    @property
    def everywhere(self) -> int:
        """How many versions were seen to be everywhere."""
        return sum(self.counts)
