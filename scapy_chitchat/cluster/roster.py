# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs and their numbers: a ChitchatId becomes a small number once, and a digest a dict of such numbers.

What a digest says is read twice, once for its sender and once for its receiver; the dict is made once. Comparing two
such
dicts is what the engine does most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from scapy_chitchat.cluster._records import ChitchatId, DeltaItem, NodeDigest, Section, pieces, section_of

Numbers = tuple[int, int, int]
"""Heartbeat, last_gc_version and max_version."""

Table = dict[int, Numbers]
"""A digest: what it says of each run."""

_identity: Callable[[NodeDigest], tuple[str, int, str]] = attrgetter(*ChitchatId._fields)
_numbers: Callable[[NodeDigest], Numbers] = attrgetter("heartbeat", "last_gc_version", "max_version")


class Roster(dict[tuple[str, int, str], int]):
    """The number of each ChitchatId, given out at first sight; the same in all clusters of a capture."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[ChitchatId] = []
        self.by_address: dict[str, list[int]] = {}
        """The runs that advertise an address."""

    def __missing__(self, identity: tuple[str, int, str]) -> int:
        number = self[identity] = len(self.ids)
        self.ids.append(ChitchatId(*identity))
        self.by_address.setdefault(identity[2], []).append(number)
        return number

    def table(self, digest: Sequence[NodeDigest]) -> Table:
        """A digest as a table; of a repeated id the last entry wins, as with nodes."""
        return dict(zip(map(self.__getitem__, map(_identity, digest)), map(_numbers, digest), strict=True))


_MOST_SECTIONS = 20_000
_MOST_TEXT = 1 << 23
"""So many sections, and so many characters of values, are remembered."""


class Sections(dict[Sequence[DeltaItem], tuple[int, Section]]):
    """The section of these operations of a delta, with the number of its subject.

    The same few go round the whole cluster: each is made once, so that equal ones are mostly the same object.
    """

    def __init__(self, roster: Roster) -> None:
        super().__init__()
        self._roster = roster
        self._text = 0

    def __missing__(self, piece: Sequence[DeltaItem]) -> tuple[int, Section]:
        section = section_of(piece)
        if len(self) >= _MOST_SECTIONS or self._text >= _MOST_TEXT:
            self.clear()
            self._text = 0
        self._text += sum(len(each.value) for each in section.key_values)
        made = self[piece] = self._roster[section.subject], section
        return made

    def of(self, delta: Sequence[DeltaItem]) -> tuple[tuple[int, Section], ...]:
        """The sections of a delta."""
        return tuple(map(self.__getitem__, pieces(delta)))
