# SPDX-License-Identifier: GPL-2.0-or-later
"""The failure detector's ``initial_interval``, where the traffic gives it away.

A node gossips each round with three of those that it takes for alive. One that knows at most three other addresses
gossips with all of them: a subject that it passes over is dead to it, since the end of the round before. With the known
intervals that brackets the one setting that a verdict depends on and no message states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from scapy_chitchat.cluster._records import ChitchatId
from scapy_chitchat.cluster.liveness import SECOND, Detector, initial_interval_above
from scapy_chitchat.cluster.observer import Observer

_ALL_CHOSEN = 3
"""How many live nodes a node gossips with in a round (GOSSIP_COUNT of the crate)."""

_STEPS = tuple(unit * SECOND // 1000 for unit in (10000, 5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1))


class InitialInterval:
    """What the verdicts that showed say of the setting."""

    def __init__(self) -> None:
        self.samples: deque[tuple[int, int]] = deque(maxlen=1000)
        """With which value a verdict would have come a round earlier, and with which not at all yet."""
        self._bounds: dict[tuple[int, int], tuple[int, int]] = {}

    def round_ends(self, observer: Observer, ids: list[ChitchatId], detector: Detector, interval: int) -> bool:
        """A round of this observer is over, and its verdicts are done: gives whether it told something."""
        addresses = {ids[each].gossip_advertise_addr for each in observer.numbers if each != observer.run}
        if len(addresses) > _ALL_CHOSEN or not observer.from_start:
            return False
        told = False
        now = observer.round_time
        for subject, window in observer.windows.items():
            if not window.alive or not window.count:
                continue
            pair = observer.run, subject
            before = self._bounds.get(pair, (0, 0))
            if ids[subject].gossip_advertise_addr in observer.targets:
                self._bounds[pair] = (before[1], initial_interval_above(window, now, detector))
            elif now - window.last > 3 * interval and before[1] > 0:
                del self._bounds[pair]
                window.die(now)
                self.samples.append((max(0, before[0]), before[1]))
                told = True
        return told

    def forget(self, runs: set[int]) -> None:
        """These runs are gone."""
        self._bounds = {pair: each for pair, each in self._bounds.items() if runs.isdisjoint(pair)}

    @property
    def guess(self) -> int | None:
        """The roundest value that fits what was seen, in nanoseconds."""
        if not self.samples:
            return None
        high = min(high for _, high in self.samples)
        low = max((low for low, _ in self.samples if low < high), default=0)
        return roundest(low, high)


def roundest(low: int, high: int, steps: Iterable[int] = _STEPS) -> int:
    """The value of the coarsest step in (low, high]; the middle where they are too close."""
    for step in steps:
        value = (low // step + 1) * step
        if value <= high:
            return value
    return (low + high) // 2
