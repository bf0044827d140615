# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures over time in a bounded number of bins, however long the capture turns out to be.

Nobody knows the length of a capture before its end. When there are too many bins, each two become one of double width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Bin = TypeVar("Bin")
"""What is kept for one stretch of time."""

MOST_BINS = 240
"""The most bins of a series, and so the most points of a curve."""

FIRST_WIDTH = 1_000_000_000
"""How wide a bin is at first, in nanoseconds: a gossip interval, as nodes have it unless they are told otherwise."""


class Bins(Generic[Bin]):
    """Bins from ``start`` on, a time in nanoseconds; those in which nothing happened are not there."""

    def __init__(self, start: int, new: Callable[[], Bin], merged: Callable[[Bin, Bin], Bin]) -> None:
        """``new`` makes an empty one; ``merged`` makes one of two that follow each other."""
        self.start = start
        self.width = FIRST_WIDTH
        self.held: dict[int, Bin] = {}
        self._new = new
        self._merged = merged

    def place(self, time: int) -> int:
        """Which bin a time falls in; what is before the start counts as at the start."""
        return max(0, time - self.start) // self.width

    def at(self, time: int) -> Bin:
        """The bin of this time."""
        place = self.place(time)
        found = self.held.get(place)
        if found is not None:
            return found
        while place >= MOST_BINS:
            self._halve()
            place = self.place(time)
        return self.held.setdefault(place, self._new())

    def _halve(self) -> None:
        self.width *= 2
        before, self.held = self.held, {}
        for place, each in sorted(before.items()):
            other = self.held.get(place // 2)
            self.held[place // 2] = each if other is None else self._merged(other, each)

    def __len__(self) -> int:
        return max(self.held, default=-1) + 1

    def starts(self) -> list[int]:
        """When each bin begins, up to the last one that holds something; nanoseconds since the epoch."""
        return [self.start + place * self.width for place in range(len(self))]

    def all(self) -> list[Bin | None]:
        """The bins in order of time; None where nothing happened."""
        return [self.held.get(place) for place in range(len(self))]
