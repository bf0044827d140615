# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs and their numbers: a ChitchatId becomes a small number once, and a digest a dict of such numbers.

What a digest says is read twice, once for its sender and once for its receiver; the dict is made once. Comparing two
such dicts is what the engine does most.
"""

from __future__ import annotations

from collections.abc import Iterable

from scapy_chitchat.cluster._records import NUMBERS, ChitchatId, Digest, Section, section_of

Numbers = tuple[int, int, int]
"""Heartbeat, last_gc_version and max_version."""

Table = dict[int, Numbers]
"""A digest: what it says of each run."""

_STRIDE = 1 + len(NUMBERS)

_MOST_LAYOUTS = 1024
"""Of so many sets of runs in digests their numbers are remembered."""


class Roster(dict[tuple[str, int, str], int]):
    """The number of each ChitchatId, given out at first sight; the same in all clusters of a capture."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[ChitchatId] = []
        self.by_address: dict[str, list[int]] = {}
        """The runs that advertise an address."""
        self._runs: dict[object, tuple[int, ...]] = {}
        """The numbers of the runs in a digest, by its layout."""

    def __missing__(self, identity: tuple[str, int, str]) -> int:
        number = self[identity] = len(self.ids)
        self.ids.append(ChitchatId(*identity))
        self.by_address.setdefault(identity[2], []).append(number)
        return number

    def forget_layouts(self) -> None:
        """Digests have other runs now: the layouts of the earlier ones come no more."""
        self._runs.clear()

    def table(self, digest: Digest) -> Table:
        """A digest as a table; of a repeated id the last entry wins, as with nodes."""
        layout, values = digest
        runs = self._runs.get(layout)
        if runs is None:
            if len(self._runs) >= _MOST_LAYOUTS:
                self._runs.clear()
            runs = self._runs[layout] = tuple(map(self.__getitem__, layout.heads))
        said = zip(values[1::_STRIDE], values[2::_STRIDE], values[3::_STRIDE], strict=True)
        return dict(zip(runs, said, strict=True))


_MOST_SECTIONS = 20_000
_MOST_TEXT = 1 << 23
"""So many sections, and so many bytes of them, are remembered."""


class Sections(dict[bytes, tuple[int, Section]]):
    """The section of a delta by its bytes, with the number of its subject.

    The same few go round the whole cluster: each is made once, so that equal ones are mostly the same object.
    """

    def __init__(self, roster: Roster) -> None:
        super().__init__()
        self._roster = roster
        self._text = 0

    def __missing__(self, piece: bytes) -> tuple[int, Section]:
        section = section_of(piece)
        if len(self) >= _MOST_SECTIONS or self._text >= _MOST_TEXT:
            self.clear()
            self._text = 0
        self._text += len(piece)
        made = self[piece] = self._roster[section.subject], section
        return made

    def of(self, delta: Iterable[bytes]) -> tuple[tuple[int, Section], ...]:
        """The sections of a delta. Raises ValueError where a node refuses the delta."""
        found = tuple(map(self.__getitem__, delta))
        if len(found) > 1 and len(dict(found)) < len(found):
            raise ValueError("a run has two sections")
        return found
