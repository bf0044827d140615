# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a node holds what it was sent: what messages carried, beside what the node tells when it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from scapy_chitchat.net.text import printable
from scapy_chitchat.node.members import KeyValue
from scapy_chitchat.node.told import ToldMember
from scapy_chitchat.records.classes import KeyValueOp, Syn
from scapy_chitchat.records.codec import DecodeError, decode
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.sections import Section, delta_of, digest_of, sections
from scapy_chitchat.replay.messages import Channel, Outgoing


@dataclass
class _Carried:
    """What was carried of one member: the last of each key."""

    last_gc_version: int = 0
    reached: int = 0
    keys: dict[str, KeyValueOp] = field(default_factory=dict)

    def take(self, section: Section) -> None:
        collected = section.node.last_gc_version
        if section.node.from_version_excluded == 0 and collected > max(self.last_gc_version, self.reached):
            self.keys.clear()  # the whole member anew
        self.last_gc_version = max(self.last_gc_version, collected)
        for op in section.changes:
            if isinstance(op, KeyValueOp) and op.version > getattr(self.keys.get(op.key), "version", 0):
                self.keys[op.key] = op
        self.reached = max(self.reached, section.reached)


class Noting:
    """A channel that notes, on the way to another, what messages carry: members in digests, key-values in deltas."""

    def __init__(self, channel: Channel) -> None:
        self.cluster_id: str | None = None
        """Of the last Syn."""
        self._channel = channel
        self._carried: dict[ChitchatId, _Carried] = {}

    def send(self, message: Outgoing) -> None:
        """Note the message, and send it."""
        try:
            read = decode(message.data)
        except DecodeError:
            read = None  # the node refuses it, too
        if isinstance(read, Syn):
            self.cluster_id = read.cluster_id
        for entry in digest_of(read):
            self._carried.setdefault(id_of(entry), _Carried())
        for section in sections(delta_of(read)):
            self._carried.setdefault(id_of(section.node), _Carried()).take(section)
        self._channel.send(message)

    def wait(self, seconds: float) -> None:
        """As the other channel."""
        self._channel.wait(seconds)

    def finish(self, patience: float) -> None:
        """As the other channel."""
        self._channel.finish(patience)

    def differences(self, members: Iterable[ToldMember]) -> Iterator[str]:
        """A line for each member and each key that was carried and is not held, in words. What is newer is as good."""
        held = {id_of(member): member for member in members}
        for identity, carried in self._carried.items():
            who = f"{printable(identity.node_id)} ({identity.gossip_advertise_addr}, {identity.generation_id})"
            member = held.get(identity)
            if member is None:
                yield f"{who} is not held"
                continue
            told = {each.key: each for each in member.keys}
            for op in carried.keys.values():
                if why := _why_not(op, told.get(op.key), member.last_gc_version):
                    yield f"{who}: {printable(op.key)} {why}"


def _why_not(op: KeyValueOp, told: KeyValue | None, last_gc_version: int) -> str:
    """How a node's copy of a key falls short of an operation; nothing where it does not."""
    if told is None:
        is_collected = op.status != "Set" and op.version <= last_gc_version
        return "" if is_collected else f"is not held, but version {op.version} was sent"
    if told.version < op.version:
        return f"is held in version {told.version}, but version {op.version} was sent"
    if told.version == op.version and (told.value, told.status) != (op.value, op.status):
        return f"differs in version {op.version}"
    return ""
