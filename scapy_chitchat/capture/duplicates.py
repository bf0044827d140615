# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that were captured twice, as happens on Linux's ``any`` device and with several interfaces.

Only what cannot be two messages is a duplicate. Nodes do send the same Syn twice in a round, and equal Acks. So two
equal datagrams a moment apart are one if their IP packets have the same identification; or if one was seen inside of a
tunnel and the other was not; or if they are SynAcks, since a node changes its heartbeat before each answer. Such a pair
also proves that the capture is a doubled one, and shows how: by the interfaces and link headers of the two, or where
these are the same, by the frames between them. Other equal datagrams are then told by that.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from scapy_chitchat.wire.protocol import MessageType

DUPLICATE_WITHIN = 0.01
"""Seconds within which an equal datagram may be the same one."""
MOST_REMEMBERED = 8192
"""Datagrams that are remembered at a time."""
_MOST_OF_ONE = 16
"""Sights of equal datagrams that are remembered at a time."""
_MOST_WAYS = 64


class Sight(NamedTuple):
    """How a datagram was seen."""

    time: float
    frame: int
    way: tuple[int, bytes]
    """The interface and the link header."""
    ident: int
    """The identification of its IP packet; 0 where it has none."""
    tunnel: tuple[str, ...]


class Duplicates:
    """The datagrams of the last moments, to know a second sight of one by."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, list[Sight]] = OrderedDict()
        self._ways: set[tuple[tuple[int, bytes], tuple[int, bytes]]] = set()
        self._distances: dict[int, float] = {}  # frames between the two: the most seconds

    def has(self, ends: tuple[bytes, int, bytes, int], data: bytes, sight: Sight) -> bool:
        """Whether this datagram was seen before. A first sight is remembered, a second one uses it up."""
        key = hash((ends, data, sight.ident))
        seen = self._seen.get(key)
        if seen is not None:
            seen[:] = [each for each in seen if abs(sight.time - each.time) <= DUPLICATE_WITHIN]
            for place, first in enumerate(seen):
                if self._same(first, sight, data):
                    # a packet with a number may be seen a third time; of one without, the next pair may follow
                    if not sight.ident:
                        del seen[place]
                    return True
            seen.append(sight)
            del seen[:-_MOST_OF_ONE]
        else:
            self._seen[key] = [sight]
            if len(self._seen) > MOST_REMEMBERED:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return False

    def _same(self, first: Sight, second: Sight, data: bytes) -> bool:
        if second.ident or first.tunnel != second.tunnel:
            return True
        if data[3:4] == _SYN_ACK:
            self._learn(first, second)
            return True
        if first.way != second.way:
            return (first.way, second.way) in self._ways
        apart = self._distances.get(second.frame - first.frame)
        return apart is not None and second.time - first.time <= 2 * apart

    def _learn(self, first: Sight, second: Sight) -> None:
        if first.way != second.way:
            if len(self._ways) < _MOST_WAYS:
                self._ways.add((first.way, second.way))
            return
        frames = second.frame - first.frame
        if frames in self._distances or len(self._distances) < _MOST_WAYS:
            self._distances[frames] = max(second.time - first.time, self._distances.get(frames, 0.0))


_SYN_ACK = bytes([MessageType.SynAck])
