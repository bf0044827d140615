# SPDX-License-Identifier: GPL-2.0-or-later
"""Ranges (after, up to] of versions. Versions are any u64: ranges are compared and cut, never counted through."""

from __future__ import annotations

from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]
"""Disjoint, ascending."""

MOST = 64
"""The most ranges that are kept apart; of more, neighbours are joined, which makes more unknown and nothing certain."""


def add(ranges: Ranges, after: int, up_to: int) -> Ranges:
    """With (after, up_to] too."""
    if after >= up_to:
        return ranges
    if not ranges or ranges[-1][1] < after:
        return bounded((*ranges, (after, up_to)))
    kept = []
    for low, high in ranges:
        if high < after or low > up_to:
            kept.append((low, high))
        else:
            after, up_to = min(low, after), max(high, up_to)
    return bounded(tuple(sorted([*kept, (after, up_to)])))


def subtract(ranges: Ranges, after: int, up_to: int) -> Ranges:
    """Without (after, up_to]."""
    left: list[tuple[int, int]] = []
    for low, high in ranges:
        if high <= after or low >= up_to:
            left.append((low, high))
            continue
        if low < after:
            left.append((low, after))
        if up_to < high:
            left.append((up_to, high))
    return tuple(left)


def upto(ranges: Ranges, version: int) -> Ranges:
    """What of them is not above ``version``."""
    return tuple((low, min(high, version)) for low, high in ranges if low < version)


def without(ranges: Ranges, versions: Iterable[int]) -> Ranges:
    """Without these single versions, which ascend."""
    for version in versions:
        ranges = subtract(ranges, version - 1, version)
    return ranges


def bounded(ranges: Ranges) -> Ranges:
    """At most MOST of them."""
    if len(ranges) <= MOST:
        return ranges
    spare = len(ranges) - MOST
    return ((ranges[0][0], ranges[spare][1]), *ranges[spare + 1 :])
