# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of drawn values, as records: what most strategies start from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scapy_chitchat.fuzz.draw import Draw, Identity
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.makers import message_class, record_class
from scapy_chitchat.wire import layers
from scapy_chitchat.wire.protocol import MAX_DATAGRAM, MAX_U64, DeletionStatus

NodeDigest: Any = record_class(layers.NodeDigest)
NodeOp: Any = record_class(layers.NodeOp)
KeyValueOp: Any = record_class(layers.KeyValueOp)
SetMaxVersionOp: Any = record_class(layers.SetMaxVersionOp)
Syn: Any = message_class(layers.ChitchatSyn)
SynAck: Any = message_class(layers.ChitchatSynAck)
Ack: Any = message_class(layers.ChitchatAck)
BadCluster: Any = message_class(layers.ChitchatBadCluster)

STATUSES = tuple(status.name for status in DeletionStatus)


def entry(identity: Identity, heartbeat: int = 1, last_gc_version: int = 0, max_version: int = 0) -> Any:
    """A digest entry."""
    return NodeDigest(*identity, heartbeat, last_gc_version, max_version)


def section(identity: Identity, ops: Iterable[Any], last_gc_version: int = 0, from_version_excluded: int = 0) -> Any:
    """A section of a delta: its Node operation, and the others."""
    return [NodeOp(*identity, last_gc_version, from_version_excluded), *ops]


def syn(draw: Draw, digest: Iterable[Any], version: int = 0) -> Any:
    """A Syn of the receiver's cluster."""
    return Syn(version, "Syn", draw.context.cluster_id, tuple(digest))


def syn_ack(digest: Iterable[Any], delta: Iterable[Any], version: int = 0) -> Any:
    """A SynAck. A node takes it unasked, learns the nodes of its digest first, and then applies its delta."""
    return SynAck(version, "SynAck", tuple(digest), tuple(delta))


def ack(delta: Iterable[Any], version: int = 0) -> Any:
    """An Ack."""
    return Ack(version, "Ack", tuple(delta))


def key_values(draw: Draw, most: int, after: int = 0) -> list[Any]:
    """Up to ``most`` operations as a section wants them: versions rise, from above ``after``."""
    ops: list[Any] = []
    version = after
    for _ in range(draw.below(most + 1)):
        version = min(version + draw.between(1, 3), MAX_U64)
        ops.append(key_value(draw, version))
    return ops


def wandering(draw: Draw, most: int, after: int = 0) -> list[Any]:
    """Operations whose versions rise from one to the next, but for SetMaxVersions that turn back, or leap ahead.

    Most such sections end at or above all that came before, so that their reader has no reason to drop them.
    """
    ops: list[Any] = []
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
        ops.append(draw.pick((key_value(draw, end), SetMaxVersionOp(end))))
    return ops


def key_value(draw: Draw, version: int) -> Any:
    """One operation with a harmless key."""
    status = draw.weighted([(7, "Set"), (2, "Delete"), (1, "DeleteAfterTtl")])
    return KeyValueOp(draw.word() + str(draw.below(4)), draw.word(), version, status)


def version_of(draw: Draw) -> int:
    """Mostly V0, which all nodes speak."""
    return int(draw.chance(30))


def ordinary(draw: Draw) -> Any:
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
    return ack(delta, version) if kind < 9 else BadCluster(version, "BadCluster")


def sent(*messages: Any) -> tuple[bytes, ...]:
    """The bytes of messages that fit into a datagram."""
    return tuple(data for data in map(encode, messages) if len(data) <= MAX_DATAGRAM)
