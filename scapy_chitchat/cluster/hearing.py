# SPDX-License-Identifier: GPL-2.0-or-later
"""What a message says, in the words of the engine: runs as numbers, digests as tables, deltas as sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scapy_chitchat.cluster._records import Outline, Section, outline, outline_again
from scapy_chitchat.cluster.roster import Roster, Sections, Table

if TYPE_CHECKING:
    from scapy_chitchat.cluster._records import CapturedMessage

_NO_TABLE: Table = {}
"""Of a message without a digest; never changed."""


class Heard(NamedTuple):
    """A message that a node can read."""

    type: str
    cluster_id: str
    """Of a Syn; otherwise nothing."""
    table: Table
    """Of a Syn or a SynAck."""
    sections: tuple[tuple[int, Section], ...]
    """Of a SynAck or an Ack, each with the number of its subject."""


class Hearing:
    """Reads messages for an engine, whose numbers of runs are those of ``roster``."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._sections = Sections(roster)

    def of(self, message: CapturedMessage) -> Heard | None:
        """What a message says; None: no node can read it."""
        try:
            return self._heard(outline(message.datagram.data, message.limit))
        except ValueError:
            found = outline_again(message)
            return None if found is None else self._heard(found)

    def _heard(self, found: Outline) -> Heard:
        """Raises ValueError where a node refuses what an outline has as bytes."""
        kind, cluster_id, digest, delta = found
        table = _NO_TABLE if digest is None else self._roster.table(digest)
        return Heard(kind, cluster_id or "", table, self._sections.of(delta) if delta else ())
