# SPDX-License-Identifier: GPL-2.0-or-later
# Written by `python -m scapy_chitchat.records.generate` from the layers: never edited.
"""Messages and their items as plain values: what a node would read.

Lengths, counts and blocks are left out, since they follow from the values; an address and its port are one text.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, final

from scapy.packet import Packet

from scapy_chitchat.records.base import Record
from scapy_chitchat.wire import layers


@final
class NodeDigest(Record, frozen=True, gc=False):
    """An entry of a digest: how much its sender knows of one node."""

    node_id: str
    """The node's name, which it keeps when it is started again."""
    generation_id: int
    """Which run of the node: a later start has a larger number."""
    gossip_advertise_addr: str
    """Where the node is reached: IP address and UDP port, as in 10.0.0.1:7280 or [::1]:7280."""
    heartbeat: int
    """How often the node has counted up; whoever sees it rise takes the node for alive."""
    last_gc_version: int
    """Up to this version the node's deleted keys have been collected: nobody is told of them any more."""
    max_version: int
    """The highest version of the node's state that the sender has."""


@final
class NodeOp(Record, frozen=True, gc=False, tag_field="op", tag="Node"):
    """Opens the section of one node: the operations that follow are about it."""

    node_id: str
    """The node's name, which it keeps when it is started again."""
    generation_id: int
    """Which run of the node: a later start has a larger number."""
    gossip_advertise_addr: str
    """Where the node is reached: IP address and UDP port, as in 10.0.0.1:7280 or [::1]:7280."""
    last_gc_version: int
    """Up to this version the node's deleted keys have been collected: nobody is told of them any more."""
    from_version_excluded: int
    """The section tells of what is above this version; 0 where it tells of everything."""


@final
class KeyValueOp(Record, frozen=True, gc=False, tag_field="op", tag="KeyValue"):
    """A change of one key of the node whose section this is."""

    key: str
    """The key."""
    value: str
    """The value."""
    version: int
    """The version of this change: each change of a node's state has the next number."""
    status: Status
    """Set, Delete (a tombstone until it is collected), or DeleteAfterTtl (seen until it is collected)."""


@final
class SetMaxVersionOp(Record, frozen=True, gc=False, tag_field="op", tag="SetMaxVersion"):
    """The version of a node that has no key-values to show for it any more."""

    max_version: int
    """The highest version of the node's state."""


Status: TypeAlias = Literal["Set", "Delete", "DeleteAfterTtl"]
"""What a status may be."""


DeltaItem: TypeAlias = NodeOp | KeyValueOp | SetMaxVersionOp
"""What may stand in a delta."""


Item: TypeAlias = NodeDigest | NodeOp | KeyValueOp | SetMaxVersionOp
"""Whatever stands in a list of a message."""


@final
class Syn(Record, frozen=True, gc=False):
    """Opens a handshake: what I know of whom."""

    version: int = 0
    """The protocol version, which says how a digest is written: 0 plain, 1 compressed."""
    type: Literal["Syn"] = "Syn"
    """The message's type, as the protocol calls it."""
    cluster_id: str = ""
    """The sender's cluster: a node of another one answers BadCluster."""
    digest: tuple[NodeDigest, ...] = ()
    """How much the sender knows of each node, in the order of the wire."""


@final
class SynAck(Record, frozen=True, gc=False):
    """Answers a Syn: what I know of whom, and what your digest says you lack."""

    version: int = 0
    """The protocol version, which says how a digest is written: 0 plain, 1 compressed."""
    type: Literal["SynAck"] = "SynAck"
    """The message's type, as the protocol calls it."""
    digest: tuple[NodeDigest, ...] = ()
    """How much the sender knows of each node, in the order of the wire."""
    delta: tuple[DeltaItem, ...] = ()
    """What the receiver lacks: sections, each opened by a Node operation."""


@final
class Ack(Record, frozen=True, gc=False):
    """Closes a handshake: what your digest says you lack."""

    version: int = 0
    """The protocol version, which says how a digest is written: 0 plain, 1 compressed."""
    type: Literal["Ack"] = "Ack"
    """The message's type, as the protocol calls it."""
    delta: tuple[DeltaItem, ...] = ()
    """What the receiver lacks: sections, each opened by a Node operation."""


@final
class BadCluster(Record, frozen=True, gc=False):
    """Answers a Syn of another cluster."""

    version: int = 0
    """The protocol version, which says how a digest is written: 0 plain, 1 compressed."""
    type: Literal["BadCluster"] = "BadCluster"
    """The message's type, as the protocol calls it."""


Message: TypeAlias = Syn | SynAck | Ack | BadCluster
"""A message of any type."""


ITEM_CLASSES: dict[type[Packet], type[Item]] = {
    layers.NodeDigest: NodeDigest,
    layers.NodeOp: NodeOp,
    layers.KeyValueOp: KeyValueOp,
    layers.SetMaxVersionOp: SetMaxVersionOp,
}
"""The class of each layer that is an item."""


MESSAGE_CLASSES: dict[type[Packet], type[Message]] = {
    layers.ChitchatSyn: Syn,
    layers.ChitchatSynAck: SynAck,
    layers.ChitchatAck: Ack,
    layers.ChitchatBadCluster: BadCluster,
}
"""The class of each layer that is a message."""
