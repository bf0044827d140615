# SPDX-License-Identifier: GPL-2.0-or-later
"""Guesses of settings: medians of what was observed, as round as the observations allow."""

from __future__ import annotations

from collections import deque
from statistics import median

from scapy_chitchat.cluster.initial import roundest
from scapy_chitchat.cluster.liveness import MILLISECOND

_SAMPLES = 1000
"""Of how many observations a guess is the median."""


_SLACK = 2 * MILLISECOND
"""By how much times are off: timers have milliseconds."""


class Samples:
    """Observations whose median is a guess; each says that the value is between two."""

    def __init__(self) -> None:
        self._low: deque[int] = deque(maxlen=_SAMPLES)
        self._high: deque[int] = deque(maxlen=_SAMPLES)
        self.count = 0
        self._guess = 0

    def add(self, low: int, high: int) -> None:
        """One more, in nanoseconds."""
        self._low.append(low - _SLACK)
        self._high.append(high + _SLACK)
        self.count += 1
        if self.count < 32 or self.count % 64 == 0:
            self._guess = roundest(int(median(self._low)), int(median(self._high)))

    @property
    def guess(self) -> int:
        """About the median, in nanoseconds; 0 where there is nothing."""
        return self._guess
