# SPDX-License-Identifier: GPL-2.0-or-later
"""What was delivered to a node, until it is proven what it read of it.

A node reads its socket in order. Its own heartbeat rises by one per message read and one per round, so that the
difference of two statements of it, less the rounds, is the number of messages read between. An answer names the message
that it answers: a SynAck repeats the heartbeat of the peer that it has just read, the sections of an Ack start where
the SynAck's digest stood. What is older than a message proven read, and was not read, is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from scapy_chitchat.cluster._records import Section
from scapy_chitchat.cluster.roster import Table

MOST = 1024
"""The most messages that wait at one node; a socket's buffer holds fewer."""

MOST_BYTES = 1 << 20
"""The most bytes of theirs."""


class Delivered(msgspec.Struct, gc=False):
    """A message on its way to being read."""

    time: int
    frame: int
    kind: str
    source: str
    """The address that it came from."""
    sender: int | None
    """The run that sent it, where that is known."""
    length: int
    cluster_id: str | None = None
    table: Table | None = None
    heartbeat: int = 0
    """The sender's own, as the message states it."""
    sections: tuple[tuple[int, Section], ...] = ()
    """Each with the number of its subject."""
    as_of: tuple[int, ...] = ()
    """Where the sender stood, for each section."""
    read_at: int = 0
    """When it was read, as an answer proves; 0: nothing proves it."""

    @property
    def wants_answer(self) -> bool:
        """Whether a node that reads it says something."""
        return self.kind in ("Syn", "SynAck")

    def lose(self, runs: set[int]) -> None:
        """It says nothing of these runs any more. The table is left alone: others have it, too."""
        if self.table is not None and not runs.isdisjoint(self.table):
            self.table = {run: said for run, said in self.table.items() if run not in runs}
        kept = [at for at, (subject, _) in enumerate(self.sections) if subject not in runs]
        if len(kept) < len(self.sections):
            self.sections = tuple(self.sections[at] for at in kept)
            self.as_of = tuple(self.as_of[at] for at in kept)


class Account(NamedTuple):
    """What a node made of its inbox between two statements of its heartbeat."""

    read: list[Delivered]
    """In the order of reading."""
    unanswered: list[Delivered]
    """Of these, the ones that it should have answered and did not, as far as the capture has it."""
    lost: list[Delivered]
    """Never read."""
    unseen: int
    """How many messages it read beside those: the capture does not have them."""


class Inbox:
    """The messages that wait at one node."""

    def __init__(self) -> None:
        self.waiting: deque[Delivered] = deque()
        self._bytes = 0

    def put(self, message: Delivered) -> None:
        """A message arrives; a full socket drops it, so that a node that was paused wakes to the oldest ones."""
        if len(self.waiting) < MOST and self._bytes < MOST_BYTES:
            self.waiting.append(message)
            self._bytes += message.length

    def _drop(self) -> None:
        self._bytes -= self.waiting.popleft().length

    def answered_syn(self, source: str, heartbeat: int | None) -> Delivered | None:
        """The Syn from ``source`` that is answered by a SynAck which states this heartbeat of its sender.

        A peer may be known to have a higher heartbeat than its Syn had; then the latest Syn below it is taken.
        """
        best = None
        for each in self.waiting:
            if each.kind == "Syn" and each.source == source and not each.read_at:
                if heartbeat is None or each.heartbeat == heartbeat:
                    return each
                if each.heartbeat < heartbeat:
                    best = each
        return best

    def answered_syn_ack(self, source: str, sections: Iterable[tuple[int, Section]]) -> Delivered | None:
        """The SynAck from ``source`` that is answered by an Ack with these sections: each starts at 0 or where its
        digest stood."""
        starts = [(subject, each.from_version_excluded) for subject, each in sections if each.from_version_excluded]
        for each in self.waiting:
            if each.kind == "SynAck" and each.source == source and not each.read_at:
                table = each.table or {}
                if all(subject in table and table[subject][2] == start for subject, start in starts):
                    return each
        return None

    def answered_by_bad_cluster(self, source: str, cluster_id: str | None) -> Delivered | None:
        """The oldest Syn of another cluster from ``source``."""
        for each in self.waiting:
            if each.kind == "Syn" and each.source == source and not each.read_at and each.cluster_id != cluster_id:
                return each
        return None

    def settle(self, reads: int, answers: bool) -> Account:
        """``reads`` messages were read since the last statement; ``answers``: this statement answers the last of
        them."""
        if not self.waiting:
            return Account([], [], [], max(0, reads))
        items = list(self.waiting)
        proven = _proven(items)
        before = items[:proven]
        doubtful = [each for each in before if not each.read_at]
        extra = reads - (len(before) - len(doubtful))
        chosen = set(map(id, _likeliest(doubtful, extra))) if doubtful else set()
        read = [each for each in before if each.read_at or id(each) in chosen]
        lost = [each for each in doubtful if id(each) not in chosen]
        extra = max(0, extra - len(chosen))
        after = [] if answers else items[proven : proven + extra]
        for _ in range(proven + len(after)):
            self._drop()
        read += after
        unanswered = [each for each in read if each.wants_answer and not each.read_at]
        return Account(read, unanswered, lost, extra - len(after))

    def flush(self, everything: bool) -> list[Delivered]:
        """What waits up to the last message that is proven read, or all of it, where nothing can be counted."""
        items = list(self.waiting)
        if not everything:
            items = items[: _proven(items)]
        for _ in items:
            self._drop()
        return items


def _proven(items: list[Delivered]) -> int:
    """How many there are up to the last that is proven read."""
    count = len(items)
    while count and not items[count - 1].read_at:
        count -= 1
    return count


def _likeliest(doubtful: list[Delivered], count: int) -> list[Delivered]:
    """The ``count`` messages that were read: those that nobody answers first, then the others, each oldest first."""
    if count >= len(doubtful):
        return doubtful
    ordered = sorted(doubtful, key=lambda each: each.wants_answer)
    return ordered[: max(0, count)]
