# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of drawn values, as records: what most strategies start from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from scapy_chitchat.fuzz.draw import Draw
from scapy_chitchat.fuzz.registry import CaseMessages
from scapy_chitchat.records.classes import (
    Ack,
    BadCluster,
    DeltaItem,
    KeyValueOp,
    Message,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    Status,
    Syn,
    SynAck,
)
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.records.sections import Change
from scapy_chitchat.wire.protocol import MAX_DATAGRAM, MAX_U64

STATUSES: tuple[Status, ...] = get_args(Status)
"""What the status of a key-value may be."""


def entry(of: ChitchatId, heartbeat: int = 1, last_gc_version: int = 0, max_version: int = 0) -> NodeDigest:
    """A digest entry."""
    return NodeDigest(*of, heartbeat, last_gc_version, max_version)


def section(
    of: ChitchatId, changes: Iterable[Change], last_gc_version: int = 0, from_version_excluded: int = 0
) -> list[DeltaItem]:
    """A section of a delta: its Node operation, and the others."""
    return [NodeOp(*of, last_gc_version, from_version_excluded), *changes]


def syn(draw: Draw, digest: Iterable[NodeDigest], version: int = 0) -> Syn:
    """A Syn of the receiver's cluster."""
    return Syn(version, cluster_id=draw.context.cluster_id, digest=tuple(digest))


def syn_ack(digest: Iterable[NodeDigest], delta: Iterable[DeltaItem], version: int = 0) -> SynAck:
    """A SynAck. A node takes it unasked, learns the nodes of its digest first, and then applies its delta."""
    return SynAck(version, digest=tuple(digest), delta=tuple(delta))


def ack(delta: Iterable[DeltaItem], version: int = 0) -> Ack:
    """An Ack."""
    return Ack(version, delta=tuple(delta))


def key_values(draw: Draw, most: int, after: int = 0) -> list[Change]:
    """Up to ``most`` operations as a section wants them: versions rise, from above ``after``."""
    ops: list[Change] = []
    version = after
    for _ in range(draw.below(most + 1)):
        version = min(version + draw.between(1, 3), MAX_U64)
        ops.append(key_value(draw, version))
    return ops


def wandering(draw: Draw, most: int, after: int = 0) -> list[Change]:
    """Operations whose versions rise from one to the next, but for SetMaxVersions that turn back, or leap ahead.

    Most such sections end at or above all that came before, so that their reader has no reason to drop them.
    """
    ops: list[Change] = []
    version = highest = after
    for _ in range(draw.between(1, most)):
        if draw.chance(25):
            version = draw.near(draw.between(after, highest) if highest - after < 2**47 else highest)
            ops.append(SetMaxVersionOp(version))
        else:
            version = min(version + draw.between(1, 3), MAX_U64)
            ops.append(key_value(draw, version))
        highest = max(highest, version)
    if version < highest and draw.chance(70):
        end = min(highest + draw.pick((0, 0, 1)), MAX_U64)
        choices: tuple[Change, ...] = (key_value(draw, end), SetMaxVersionOp(end))
        ops.append(draw.pick(choices))
    return ops


def key_value(draw: Draw, version: int) -> KeyValueOp:
    """One operation with a harmless key."""
    status = draw.weighted(_USUAL_STATUSES)
    return KeyValueOp(draw.word() + str(draw.below(4)), draw.word(), version, status)


_USUAL_STATUSES: tuple[tuple[int, Status], ...] = ((7, "Set"), (2, "Delete"), (1, "DeleteAfterTtl"))
"""Each as often as its number says."""


def version_of(draw: Draw) -> int:
    """Mostly V0, which all nodes speak."""
    return int(draw.chance(30))


def ordinary(draw: Draw) -> Message:
    """A message as a node sends it."""
    version = version_of(draw)
    identities = draw.identities(4)
    digest = [entry(each, draw.below(100), draw.below(3), draw.below(10)) for each in identities]
    delta = [op for each in draw.some(identities, 3) for op in section(each, key_values(draw, 5))]
    kind = draw.below(10)
    if kind < 3:
        return syn(draw, digest, version)
    if kind < 8:
        return syn_ack(digest, delta, version)
    return ack(delta, version) if kind < 9 else BadCluster(version)


def one_of(draw: Draw, *messages: Message) -> CaseMessages:
    """The bytes of one of these, if it fits into a datagram."""
    return sent(draw.pick(messages))


def sent(*messages: Message) -> CaseMessages:
    """The bytes of messages that fit into a datagram."""
    return tuple(data for data in map(encode, messages) if len(data) <= MAX_DATAGRAM)
