# SPDX-License-Identifier: GPL-2.0-or-later
"""The contents of a subject: all versions that were ever sent and that some replica may still hold.

A replica is a few numbers; they select its key-values among these. At max_version M it holds the newest version of each
key up to M, but for tombstones up to its last_gc_version. What makes this exact is kept with each version:

- ``alive_at``: the highest max_version of a sender that listed it. A version once replaced never comes back, so every
  replica between the version and ``alive_at`` holds it, whatever else is unknown.
- ``gone_at``: the lowest max_version of a sender that should have listed it and did not: replaced or collected by then.

``covered`` are stretches of versions of which a section told everything: (after, up to, as of). What is not listed in
them is not there, at replicas that stand at ``as of`` or above. Versions at or below the last_gc_version of a
section that
starts above 0 do not count: a tombstone that was there may have been collected, and its key is unknown.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from scapy_chitchat.cluster._records import Section
from scapy_chitchat.cluster.ranges import MOST, Ranges, subtract, upto, without

NEVER = 2**64
"""Above every version."""


class Version(msgspec.Struct, gc=False):
    """One version of a key, as it was sent."""

    key: str
    value: str
    version: int
    status: str
    alive_at: int
    since: int
    """When it was first sent here; nanoseconds."""
    gone_at: int = NEVER
    contested: bool = False


class Extra(NamedTuple):
    """What a replica needs beside its numbers, which is rare."""

    unknown: Ranges = ()
    """Versions that reached it unseen."""
    floor: int = 0
    """Versions up to here were lost in a reset of 0.9."""
    cuts: tuple[tuple[int, int], ...] = ()
    """(after, as of), ascending: what it holds above ``after`` came from a section cut short, of a sender that stood at
    ``as of``: what that sender had replaced above the cut was not in it. NEVER: nobody knows where it stood."""


PLAIN = Extra()
"""Of a replica without anything special."""


class News(NamedTuple):
    """What a section showed for the first time."""

    fresh: list[Version]
    contested: list[Version]


NOTHING_NEW = News([], [])
"""Of a section that showed nothing for the first time."""


class History:
    """What was sent of one subject."""

    def __init__(self) -> None:
        self.versions: dict[int, Version] = {}
        self.order: list[int] = []
        self.keys: dict[str, list[int]] = {}
        self.covered: list[tuple[int, int, int]] = []
        self.contested_up_to = 0
        """The subject began again under the same generation_id: up to here a version may have two contents."""
        self._told: dict[int, tuple[Section, int]] = {}
        """The last section from a version on, and where its sender stood, since a version came in."""
        self.kept = 64
        """How many versions there were after the last tidying."""

    def has(self, section: Section, as_of: int) -> bool:
        """Whether this very section was taken, of a sender that stood there or above, and nothing new since then."""
        told = self._told.get(section.from_version_excluded)
        return told is not None and told[0] is section and as_of <= told[1]

    def add(self, section: Section, as_of: int, time: int) -> News:
        """Take a section of a sender that stood at ``as_of``."""
        _, gc, start, key_values, reached = section
        fresh: list[Version] = []
        contested: list[Version] = []
        versions = self.versions
        for op in key_values:
            known = versions.get(op.version)
            if known is None:
                self._insert(Version(op.key, op.value, op.version, op.status, as_of, time), fresh)
            elif known.value != op.value or known.key != op.key or known.status != op.status:
                if not known.contested:
                    contested.append(known)
                known.contested = True
            elif known.alive_at < as_of:
                known.alive_at = as_of
        order = self.order
        within = order[bisect_right(order, start) : bisect_right(order, reached)]
        if len(within) != len(key_values):
            self._miss(within, as_of, {op.version for op in key_values})
        self._cover(max(start, gc) if start else 0, reached, as_of)
        self._told[start] = section, as_of
        return News(fresh, contested) if fresh or contested else NOTHING_NEW

    def _insert(self, new: Version, fresh: list[Version]) -> None:
        self.versions[new.version] = new
        self._told.clear()
        insort(self.order, new.version)
        insort(self.keys.setdefault(new.key, []), new.version)
        fresh.append(new)

    def _miss(self, within: list[int], as_of: int, listed: set[int]) -> None:
        """The versions that a section should have listed, were they still there."""
        for version in within:
            if version not in listed:
                known = self.versions[version]
                known.gone_at = min(known.gone_at, as_of)

    def _cover(self, after: int, up_to: int, as_of: int) -> None:
        covered = self.covered
        if after >= up_to:
            return
        if covered and covered[-1][0] <= after <= covered[-1][1]:
            low, high, before = covered[-1]
            if up_to > high:
                covered[-1] = (low, up_to, max(before, as_of))
            return
        merged = (after, up_to, as_of)
        kept = []
        for each in covered:
            if each[1] < merged[0] or each[0] > merged[1]:
                kept.append(each)
            elif each[0] <= merged[0] and merged[1] <= each[1]:
                merged = each
            else:
                merged = (min(each[0], merged[0]), max(each[1], merged[1]), max(each[2], merged[2]))
        insort(kept, merged)
        self.covered = kept[-MOST:]

    def unknown(self, ranges: Ranges, stands_at: int) -> Ranges:
        """What of ``ranges`` nobody sent, for a replica at max_version ``stands_at``."""
        ranges = upto(ranges, stands_at)
        for after, up_to, as_of in self.covered:
            if not ranges:
                return ()
            if as_of <= stands_at:
                ranges = subtract(ranges, after, up_to)
        if not ranges:
            return ()
        order = self.order
        within = order[bisect_right(order, ranges[0][0]) : bisect_right(order, ranges[-1][1])]
        return without(ranges, within) if len(within) <= 4096 else ranges

    def select(self, gc: int, stands_at: int, extra: Extra = PLAIN) -> Iterable[tuple[Version, bool]]:
        """What a replica holds, and whether that is certain. ``extra.unknown`` is what is left of its unknown
        versions."""
        highest_unknown = extra.unknown[-1][1] if extra.unknown else 0
        for versions in self.keys.values():
            place = bisect_right(versions, stands_at) - 1
            if place < 0 or versions[place] <= extra.floor:
                continue
            held = self.versions[versions[place]]
            if held.gone_at <= stands_at or (held.status != "Set" and held.version <= gc):
                continue
            as_of = _as_of(extra.cuts, held.version) if extra.cuts else 0
            if as_of > stands_at:
                later = versions[place + 1] if place + 1 < len(versions) else NEVER
                if min(later, held.gone_at) <= as_of < NEVER:
                    continue
                proven = held.alive_at >= as_of
            else:
                proven = held.alive_at >= stands_at or highest_unknown <= max(held.version, held.alive_at)
            yield held, proven and not held.contested and held.version > self.contested_up_to

    def contest(self) -> None:
        """The subject begins again: its versions come a second time, with other contents."""
        self.contested_up_to = self.order[-1] if self.order else 0
        self.covered = []
        self._told.clear()

    def size_above(self, version: int) -> int:
        """About the bytes of the key-values above a version."""
        found = (self.versions[each] for each in self.order[bisect_right(self.order, version) :])
        return sum(len(each.key) + len(each.value) + 14 for each in found)

    def newest(self, key: str) -> Version | None:
        """The highest version of a key."""
        versions = self.keys.get(key)
        return self.versions[versions[-1]] if versions else None

    def before(self, version: Version) -> Version | None:
        """The version of the same key before this one."""
        versions = self.keys[version.key]
        place = bisect_left(versions, version.version)
        return self.versions[versions[place - 1]] if place else None

    def tombstones(self, after: int, up_to: int) -> list[Version]:
        """Those among (after, up_to] that are deleted, or are to be."""
        order = self.order
        found = (self.versions[each] for each in order[bisect_right(order, after) : bisect_right(order, up_to)])
        return [each for each in found if each.status != "Set"]

    def tidy(self, replicas: Sequence[tuple[int, int]]) -> None:
        """Forget what no replica can hold; ``replicas``: max_version and last_gc_version of each.

        Of a key, a version stays while a replica stands between it and the next one. The newest stays, unless it is a
        tombstone that all have collected, and the last of its key.
        """
        self._told.clear()
        stands = sorted({held for held, _ in replicas})
        collected = min((gc for _, gc in replicas), default=0)
        for key, versions in list(self.keys.items()):
            kept = [low for low, high in pairwise(versions) if _any_within(stands, low, high)]
            newest = self.versions[versions[-1]]
            if kept or newest.status == "Set" or newest.version > collected or not stands or stands[0] < newest.version:
                kept.append(newest.version)
            if len(kept) == len(versions):
                continue
            for version in set(versions).difference(kept):
                del self.versions[version]
            if kept:
                self.keys[key] = kept
            else:
                del self.keys[key]
        self.order = sorted(self.versions)
        self.kept = max(64, len(self.order))


def _any_within(stands: list[int], low: int, high: int) -> bool:
    place = bisect_left(stands, low)
    return place < len(stands) and stands[place] < high


def _as_of(cuts: tuple[tuple[int, int], ...], version: int) -> int:
    """Where the sender stood from whom a replica has what it holds of this version; 0: not below."""
    found = 0
    for after, as_of in cuts:
        if after < version:
            found = as_of
    return found
