# SPDX-License-Identifier: GPL-2.0-or-later
"""The failure detector of a node: when an observer takes a subject for alive.

phi is the time since the last heartbeat that was news, divided by the mean interval between such; the mean starts from
five intervals of ``initial_interval``. Judged at the end of each gossip round. A subject needs one interval, so three
heartbeats (the first is not news); a verdict of death clears the intervals, not the time of the last heartbeat.
Source: failure_detector.rs of the crate, held against running nodes.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import msgspec

from scapy_chitchat.cluster.settings import Settings

SECOND = 1_000_000_000
"""Nanoseconds."""

MILLISECOND = 1_000_000
"""Nanoseconds."""
MICROSECOND = 1_000
"""Nanoseconds."""

_LONGEST = 2**32 - 1
"""More than an hour: a longer interval counts as this."""

PRIOR_WEIGHT = 5
"""How many intervals of ``initial_interval`` the mean starts from."""


class Detector(NamedTuple):
    """The settings of the failure detector, in nanoseconds."""

    initial: int
    threshold: float
    window: int
    longest: int

    @property
    def prior(self) -> int:
        """What the intervals that nobody measured sum up to."""
        return PRIOR_WEIGHT * self.initial

    @classmethod
    def of(cls, settings: Settings) -> Detector:
        """As the settings have it."""
        initial = 5.0 if settings.initial_interval is None else settings.initial_interval
        return cls(round(initial * SECOND), settings.threshold, settings.window, round(settings.max_interval * SECOND))


class Window(msgspec.Struct, gc=False):
    """The heartbeats of one subject at one observer."""

    late: int = 0
    """When the capture met it, where it began in the middle: the node has intervals that nobody knows. 0: it has
    none."""
    last: int = 0
    """When the last heartbeat that was news came; 0: none yet."""
    before: int = 0
    """When the one before it came."""
    count: int = 0
    total: int = 0
    kept: array[int] | None = None
    """The intervals in microseconds; once there are as many as a node keeps, a ring. Four bytes each, because there are
    as many as observers times subjects times the size of a window."""
    oldest: int = 0
    """Where in a full ring the next one goes."""
    alive: bool | None = None
    """The last verdict; None: not judged, or not to be told."""
    judged_dead: int = 0
    """When the verdict became death; 0: it is not."""

    def report(self, now: int, detector: Detector) -> None:
        """A heartbeat that was news."""
        interval = now - self.last
        if self.last and interval <= detector.longest:
            self._keep(min(max(0, interval) // MICROSECOND, _LONGEST), detector.window)
        self.before, self.last = self.last, now

    def take_back(self, detector: Detector) -> None:
        """The last heartbeat was no news: what told it was never read."""
        kept = self.kept
        if kept and not self.oldest and self.before and self.last - self.before <= detector.longest:
            self.total -= kept.pop() * MICROSECOND
            self.count -= 1
        self.last = self.before

    def _keep(self, interval: int, most: int) -> None:
        """One more interval; of a full window the oldest goes."""
        kept = self.kept
        if kept is None:
            kept = self.kept = array("I")
        if self.count < most:
            kept.append(interval)
            self.count += 1
        else:
            self.total -= kept[self.oldest] * MICROSECOND
            kept[self.oldest] = interval
            self.oldest = (self.oldest + 1) % most
        self.total += interval * MICROSECOND

    def phi(self, now: int, detector: Detector) -> float | None:
        """None while there is no interval."""
        count = self.count
        if not count:
            return None
        weighed = self.total + PRIOR_WEIGHT * detector.initial
        return (now - self.last) * (count + PRIOR_WEIGHT) / weighed if weighed else None

    def verdict(self, now: int, detector: Detector) -> bool | None:
        """Whether a node takes it for alive; None: it cannot be told.

        Of a window that the capture met late the mean lies between that of the known intervals and the one that these
        would give to a new node.
        """
        count = self.count
        if not count:
            if self.late and now - (self.last or self.late) <= detector.threshold * detector.longest:
                return None
            return False
        elapsed = now - self.last
        lives = elapsed * (count + PRIOR_WEIGHT) <= detector.threshold * (self.total + PRIOR_WEIGHT * detector.initial)
        if self.late and lives and elapsed * count > detector.threshold * self.total:
            return None
        return lives

    def die(self, now: int) -> None:
        """The verdict is death: the intervals are forgotten."""
        if not self.judged_dead:
            self.judged_dead = now
        self.alive = False
        self.count = self.total = self.late = self.oldest = 0
        self.kept = None


def initial_interval_above(window: Window, now: int, detector: Detector) -> int:
    """The ``initial_interval`` with which phi is just at the threshold now: a node that calls the subject dead has a
    smaller
    one, a node that does not has this one or a larger."""
    limit = (now - window.last) * (window.count + PRIOR_WEIGHT) / detector.threshold
    return int((limit - window.total) / PRIOR_WEIGHT)
