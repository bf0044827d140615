# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node tells in several answers, put together member by member.

An answer is cut to a datagram, so what a node knows comes in pieces, and meanwhile it changes. The pieces are put
together as a node puts its peers' together: a section goes on where the one before ended, or begins anew where
tombstones were collected that were never told.

What has been told says how to ask for the rest: with a digest that claims it as known. A node that reads a digest takes
a heartbeat above the one that it knows for a sign of life; so each entry says heartbeat 0, which is above none. It also
makes room for members that it does not know; so only members of its own last digest are named. It leaves a dead member
out of its digests long before it forgets it (after half of the grace period), so it knows those that are named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from scapy_chitchat.node.members import KeyValue, Member
from scapy_chitchat.records.classes import Ack, KeyValueOp, NodeDigest, NodeOp, SynAck
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.sections import Section, reached, sections


class ToldMember(Member):
    """A member as a node tells of it: how much of it was told, and whether it lives."""

    told_up_to: int = 0
    """All that it changed up to this version was told."""
    complete: bool = True
    """Whether that is all: ``told_up_to`` is ``max_version``."""
    stuck: bool = False
    """Whether its next key-value fits no datagram: nobody gets it, nor what was changed after it."""
    heartbeat_rise: int | None = None
    """How far its heartbeat has moved from the first digest to the last; None where there was only one."""
    state: Literal["alive", "silent", "ghost"] | None = None
    """Whether its heartbeat has moved. A ghost: it has not, and another run of the node_id is younger, or alive."""


@dataclass
class _Copy:
    """What is known of one member."""

    identity: ChitchatId
    first_heartbeat: int | None = None
    heartbeat: int = 0
    last_gc_version: int = 0
    max_version: int = 0
    told_up_to: int = 0
    stuck: bool = False
    ops: dict[str, KeyValueOp] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return self.told_up_to >= self.max_version

    @property
    def rise(self) -> int:
        """How far its heartbeat has moved."""
        return self.heartbeat - (self.first_heartbeat or 0)

    def take_entry(self, entry: NodeDigest) -> None:
        """Its entry in the node's digest."""
        if entry.max_version < self.told_up_to:  # it was started again, with the same generation_id
            self._begin_anew()
        if entry.max_version > self.max_version:
            self.stuck = False  # perhaps what did not fit was overwritten
        self.heartbeat, self.max_version = entry.heartbeat, entry.max_version
        if self.first_heartbeat is None:
            self.first_heartbeat = entry.heartbeat
        if entry.last_gc_version <= self.told_up_to:
            self._collect(entry.last_gc_version)

    def begins_anew(self, opening: NodeOp) -> bool:
        """Whether a section is not to go on from this copy, but to take its place."""
        known = max(self.told_up_to, self.last_gc_version)
        return opening.from_version_excluded == 0 and opening.last_gc_version > known

    def lies_before(self, opening: NodeOp) -> bool:
        """Whether a section goes on from an earlier state of this copy."""
        return opening.from_version_excluded < self.told_up_to and not self.begins_anew(opening)

    def take_section(self, section: Section) -> bool:
        """A section of the node's delta. Whether anything in it was new."""
        opening = section.node
        if self.begins_anew(opening):
            self._begin_anew()
        if opening.from_version_excluded > self.told_up_to:
            return False  # a gap
        before = self.told_up_to
        self._collect(opening.last_gc_version)
        for op in section.changes:
            version = reached(op)
            if version <= self.told_up_to:
                continue
            if isinstance(op, KeyValueOp):
                self.ops[op.key] = op
            self.told_up_to = version
        self.max_version = max(self.max_version, self.told_up_to)
        return self.told_up_to > before

    def _begin_anew(self) -> None:
        self.ops.clear()
        self.told_up_to = self.last_gc_version = 0

    def _collect(self, last_gc_version: int) -> None:
        if last_gc_version > self.last_gc_version:
            self.last_gc_version = last_gc_version
            gone = [op.key for op in self.ops.values() if op.status != "Set" and op.version <= last_gc_version]
            for key in gone:
                del self.ops[key]

    def member(self) -> ToldMember:
        """It, as far as it was told."""
        node_id, generation_id, address = self.identity
        return ToldMember(
            node_id,
            address,
            generation_id,
            self.heartbeat,
            self.last_gc_version,
            self.max_version,
            [KeyValue(op.key, op.value, op.version, op.status) for op in self.ops.values()],
            told_up_to=self.told_up_to,
            complete=self.is_complete,
            stuck=self.stuck and not self.is_complete,
        )

    def asked(self) -> NodeDigest:
        """Its entry in a digest that asks for more. What is stuck is claimed as known, so that others have the room."""
        claimed = self.max_version if self.stuck else self.told_up_to
        return NodeDigest(*self.identity, 0, self.last_gc_version, claimed)


class Telling:
    """What one node has told so far."""

    def __init__(self) -> None:
        self.has_digest = False
        """Whether it has told its members, or only key-values."""
        self._copies: dict[ChitchatId, _Copy] = {}

    def hear(self, message: SynAck | Ack) -> bool:
        """Take an answer, a SynAck or an Ack. Whether anything in its delta was new."""
        if isinstance(message, SynAck) and not self.is_late(message):
            self._hear_digest(message.digest)
        news = False
        for section in sections(message.delta):
            news |= self._copy(id_of(section.node)).take_section(section)
        return news

    def is_late(self, message: SynAck | Ack) -> bool:
        """Whether an answer is one to an earlier question: it begins somewhere before what has been told since."""
        return any(self._copy(id_of(each.node)).lies_before(each.node) for each in sections(message.delta))

    def _hear_digest(self, digest: tuple[NodeDigest, ...]) -> None:
        self.has_digest = True
        named = {id_of(entry): entry for entry in digest}
        self._copies = {identity: self._copy(identity) for identity in named}
        for identity, entry in named.items():
            self._copies[identity].take_entry(entry)

    def _copy(self, identity: ChitchatId) -> _Copy:
        return self._copies.setdefault(identity, _Copy(identity))

    def is_stuck_at(self, message: SynAck | Ack) -> bool:
        """Call a member stuck if this answer begins with a section about it that has no operation. Whether it does.

        An answer to a question for more: its first section had all the room that there is.
        """
        first = next(iter(sections(message.delta)), None)
        if first is None or first.changes or self._copy(id_of(first.node)).lies_before(first.node):
            return False
        self._copy(id_of(first.node)).stuck = True
        return True

    @property
    def lacks_something(self) -> bool:
        """Whether there is more to ask for."""
        return any(not (copy.is_complete or copy.stuck) for copy in self._copies.values())

    def digest(self) -> tuple[NodeDigest, ...]:
        """The digest to ask with for what was not told yet."""
        return tuple(copy.asked() for copy in self._copies.values())

    def members(self, *, watched: bool) -> list[ToldMember]:
        """The members, in the node's order. ``watched``: between its first digest and its last some time has gone by.

        Raises ValueError for what no cluster can have.
        """
        newest: dict[str, ChitchatId] = {}
        for identity in self._copies:
            newest[identity[0]] = max(identity, newest.get(identity[0], identity))
        living = {identity[0] for identity, copy in self._copies.items() if copy.rise > 0}
        made = []
        for identity, copy in self._copies.items():
            member = copy.member()
            if watched:
                member.heartbeat_rise = copy.rise
                is_ghost = identity != newest[identity[0]] or identity[0] in living
                member.state = "alive" if copy.rise > 0 else "ghost" if is_ghost else "silent"
            made.append(member)
        return made
