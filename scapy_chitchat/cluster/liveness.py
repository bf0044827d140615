# SPDX-License-Identifier: GPL-2.0-or-later
"""The failure detector of a node: when an observer takes a subject for alive.

phi is the time since the last heartbeat that was news, divided by the mean interval between such; the mean starts from
five intervals of ``initial_interval``. Judged at the end of each gossip round. A subject needs one interval, so three
heartbeats (the first is not news); a verdict of death clears the intervals, not the time of the last heartbeat.
Source: failure_detector.rs of the crate, held against running nodes.
"""

from __future__ import annotations

from typing import NamedTuple

from scapy_chitchat.cluster.settings import Settings

SECOND = 1_000_000_000
"""Nanoseconds."""

_PRIOR_WEIGHT = 5


class Detector(NamedTuple):
    """The settings of the failure detector, in nanoseconds."""

    initial: int
    threshold: float
    window: int
    longest: int

    @classmethod
    def of(cls, settings: Settings) -> Detector:
        """As the settings have it."""
        initial = 5.0 if settings.initial_interval is None else settings.initial_interval
        return cls(round(initial * SECOND), settings.threshold, settings.window, round(settings.max_interval * SECOND))


class Window:
    """The heartbeats of one subject at one observer.

    When the window is full, each new interval takes the mean of the kept ones out, where a node takes out the oldest:
    nothing but a count and a sum is kept.
    """

    __slots__ = ("alive", "count", "judged_dead", "last", "total")

    def __init__(self) -> None:
        self.last = 0
        """When the last heartbeat that was news came; 0: none yet."""
        self.count = 0
        self.total = 0
        self.alive: bool | None = None
        """The last verdict; None: not judged, or not to be told."""
        self.judged_dead = 0
        """When the verdict became death; 0: it is not."""

    def report(self, now: int, detector: Detector) -> None:
        """A heartbeat that was news."""
        interval = now - self.last
        if self.last and interval <= detector.longest:
            if self.count >= detector.window:
                self.total -= self.total // self.count
                self.count -= 1
            self.count += 1
            self.total += interval
        self.last = now

    def phi(self, now: int, detector: Detector) -> float | None:
        """None while there is no interval."""
        count = self.count
        if not count:
            return None
        return (now - self.last) * (count + _PRIOR_WEIGHT) / (self.total + _PRIOR_WEIGHT * detector.initial)

    def lives(self, now: int, detector: Detector) -> bool:
        """The verdict of a node."""
        count = self.count
        if not count:
            return False
        limit = detector.threshold * (self.total + _PRIOR_WEIGHT * detector.initial)
        return (now - self.last) * (count + _PRIOR_WEIGHT) <= limit
