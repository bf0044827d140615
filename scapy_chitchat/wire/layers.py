# SPDX-License-Identifier: GPL-2.0-or-later
# scapy.contrib.description = chitchat gossip (Quickwit's cluster membership)
# scapy.contrib.status = loads
"""The chitchat wire format: the one place where it is written down.

One UDP datagram carries one message: a header, then the body of the message's type. Every integer is little-endian.
A string is its length in bytes (``u16``) and that many bytes of UTF-8. A list of items either stands in the message
behind its count, or in a *compressed stream*: the items' bytes one after the other, cut into blocks of 16,384 bytes,
each compressed with zstd where that saves something, closed by a block of type 0. An item may straddle blocks.

Source: chitchat's public sources, versions 0.9.0 to 0.13.0, and running nodes, which have the last word. The Scapy
packets, the plain records, their JSON and the Wireshark dissector are all derived from the lists below.
"""

from __future__ import annotations

from scapy.fields import AnyField, ConditionalField, FieldLenField, LELongField
from scapy.packet import Packet, bind_layers

from scapy_chitchat.described.conditions import Unless, When
from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    MagicField,
    PackedField,
    PortField,
    StringField,
    TagField,
    as_is,
)
from scapy_chitchat.described.listing import take_off_list
from scapy_chitchat.described.lists import BlocksField, ItemsField
from scapy_chitchat.described.malformed import malformed
from scapy_chitchat.described.packet import WirePacket
from scapy_chitchat.net.text import printable
from scapy_chitchat.wire.protocol import (
    MAGIC,
    MOST_ITEMS,
    UDP_PORTS,
    BlockType,
    DeletionStatus,
    DeltaOpTag,
    MessageType,
    ProtocolVersion,
)
from scapy_chitchat.wire.stream import decompress_block, split_stream

__all__ = [
    "ANSWERS",
    "CHITCHAT_ID",
    "DELTA",
    "DIGEST",
    "ITEMS",
    "LAST_BLOCK",
    "MESSAGES",
    "TYPE_NAMES",
    "V0",
    "V1",
    "Block",
    "Chitchat",
    "ChitchatAck",
    "ChitchatBadCluster",
    "ChitchatMessage",
    "ChitchatSyn",
    "ChitchatSynAck",
    "KeyValueOp",
    "NodeDigest",
    "NodeOp",
    "SetMaxVersionOp",
]

V0 = When("version", ProtocolVersion.V0)
"""On the wire in messages of version 0 only. A message without a header is taken for one of version 0."""

V1 = Unless("version", ProtocolVersion.V0)
"""On the wire in messages of version 1 and, for want of better knowledge, of any other that a user sets."""


# --- compressed streams ---


class Block(WirePacket):
    """A block of a compressed stream. The closing block is its type alone."""

    name = "Block"
    fields_desc = [
        KnownByteField("type", BlockType.Uncompressed, BlockType, refused_as="bad-block-type", breaks=True),
        ConditionalField(
            FieldLenField("len", None, length_of="data", fmt="<H"), Unless("type", BlockType.NoMoreBlocks)
        ),
        ConditionalField(
            PackedField(
                "data",
                b"",
                length_from="len",
                packed_as="type",
                packings={BlockType.Compressed: decompress_block, BlockType.Uncompressed: as_is},
                refused_as="bad-zstd",
            ),
            Unless("type", BlockType.NoMoreBlocks),
        ),
    ]


LAST_BLOCK = When("type", BlockType.NoMoreBlocks)
"""Which block closes a stream."""


# --- identities and digests ---

CHITCHAT_ID: list[AnyField] = [
    FieldLenField("node_id_len", None, length_of="node_id", fmt="<H"),
    StringField("node_id", "", length_from="node_id_len"),
    LELongField("generation_id", 0),
    IPVersionField("ip_version", None, version_of="ip", refused_as="bad-ip-version"),
    AddressField("ip", "127.0.0.1", version_from="ip_version", port="port", joined_as="gossip_advertise_addr"),
    PortField("port", UDP_PORTS[0]),
]
"""Who a node is: its name, when this run of it began, and where others reach it."""

LAST_GC_VERSION_DOC = "Up to this version the node's deleted keys have been collected: nobody is told of them any more."
"""What a last_gc_version is, wherever one stands."""

CHITCHAT_ID_DOCS = {
    "node_id": "The node's name, which it keeps when it is started again.",
    "generation_id": "Which run of the node: a later start has a larger number.",
    "ip": "The IP address at which the node is reached.",
    "port": "The UDP port at which the node is reached.",
    "gossip_advertise_addr": "Where the node is reached: IP address and UDP port, as in 10.0.0.1:7280 or [::1]:7280.",
}
"""What the values of a node's identity are, in a sentence each."""


class NodeDigest(WirePacket):
    """An entry of a digest: how much its sender knows of one node."""

    name = "NodeDigest"
    fields_desc = [
        *CHITCHAT_ID,
        LELongField("heartbeat", 0),
        LELongField("last_gc_version", 0),
        LELongField("max_version", 0),
    ]
    field_docs = {
        **CHITCHAT_ID_DOCS,
        "heartbeat": "How often the node has counted up; whoever sees it rise takes the node for alive.",
        "last_gc_version": LAST_GC_VERSION_DOC,
        "max_version": "The highest version of the node's state that the sender has.",
    }


DIGEST: list[AnyField] = [
    ConditionalField(FieldLenField("digest_count", None, count_of="digest", fmt="<H"), V0),
    ConditionalField(
        BlocksField("digest_blocks", None, Block, holds="digest", last=LAST_BLOCK, split=split_stream), V1
    ),
    ItemsField("digest", [NodeDigest], count_from="digest_count", blocks_from="digest_blocks", most=MOST_ITEMS),
]
"""How much the sender knows of each node; in V1 inside a compressed stream."""


# --- operations and deltas ---


class NodeOp(WirePacket):
    """Opens the section of one node: the operations that follow are about it."""

    name = "NodeOp"
    fields_desc = [
        TagField("tag", DeltaOpTag.Node, DeltaOpTag, refused_as="bad-tag"),
        *CHITCHAT_ID,
        LELongField("last_gc_version", 0),
        LELongField("from_version_excluded", 0),
    ]
    field_docs = {
        **CHITCHAT_ID_DOCS,
        "last_gc_version": LAST_GC_VERSION_DOC,
        "from_version_excluded": "The section tells of what is above this version; 0 where it tells of everything.",
    }


class KeyValueOp(WirePacket):
    """A change of one key of the node whose section this is."""

    name = "KeyValueOp"
    fields_desc = [
        TagField("tag", DeltaOpTag.KeyValue, DeltaOpTag, refused_as="bad-tag"),
        FieldLenField("key_len", None, length_of="key", fmt="<H"),
        StringField("key", "", length_from="key_len"),
        FieldLenField("value_len", None, length_of="value", fmt="<H"),
        StringField("value", "", length_from="value_len"),
        LELongField("version", 1),
        KnownByteField("status", DeletionStatus.Set, DeletionStatus, refused_as="bad-status"),
    ]
    field_docs = {
        "key": "The key.",
        "value": "The value.",
        "version": "The version of this change: each change of a node's state has the next number.",
        "status": "Set, Delete (a tombstone until it is collected), or DeleteAfterTtl (seen until it is collected).",
    }


class SetMaxVersionOp(WirePacket):
    """The version of a node that has no key-values to show for it any more."""

    name = "SetMaxVersionOp"
    fields_desc = [
        TagField("tag", DeltaOpTag.SetMaxVersion, DeltaOpTag, refused_as="bad-tag"),
        LELongField("max_version", 0),
    ]
    field_docs = {"max_version": "The highest version of the node's state."}


DELTA: list[AnyField] = [
    BlocksField("delta_blocks", None, Block, holds="delta", last=LAST_BLOCK, split=split_stream),
    ItemsField(
        "delta",
        [NodeOp, KeyValueOp, SetMaxVersionOp],
        blocks_from="delta_blocks",
        refused_as="bad-tag",
        most=MOST_ITEMS,
        section=NodeOp,
        carried=("node_id", "generation_id"),
    ),
]
"""What the receiver lacks, inside a compressed stream: sections, each opened by a NodeOp."""


# --- messages ---


class Chitchat(WirePacket):
    """The header of every message."""

    name = "Chitchat"
    fields_desc = [
        MagicField("magic", MAGIC, room=3, short_as="too-short", refused_as="bad-magic"),
        KnownByteField("version", ProtocolVersion.V0, ProtocolVersion, short_as="too-short", refused_as="bad-version"),
        KnownByteField("type", None, MessageType, short_as="bad-type", refused_as="bad-type"),
    ]

    def do_dissect_payload(self, s: bytes) -> None:
        """The body, which may be of no bytes; behind a header that a node refuses, whatever is there unread."""
        if self.trouble:
            self.add_payload(malformed(self.trouble, s))
            return
        body = self.guess_payload_class(s)(_underlayer=self, _internal=1)
        self.add_payload(body)
        body.dissect(s)
        del self.fields["type"]  # it follows from the body, and goes on to do so when the body is exchanged

    def __setattr__(self, attr: str, val: object) -> None:
        """Set an attribute; a body set as ``payload`` is told its header, as ``header / body`` does."""
        super().__setattr__(attr, val)
        if attr == "payload" and isinstance(val, Packet):
            val.add_underlayer(self)
            self.overloaded_fields = val.overload_fields.get(type(self), {})

    def answers(self, other: Packet) -> bool:
        """Whether this may be the answer to ``other``. Gossip has no transaction id, so it is a guess."""
        return isinstance(other, Chitchat) and (type(other.payload), type(self.payload)) in ANSWERS

    def mysummary(self) -> tuple[str, list[type[Packet]]]:  # type: ignore[override]  # Scapy takes such a pair as well
        """``Chitchat V1 SynAck digest=5 delta=2 nodes/7 keys``."""
        from scapy.layers.inet import UDP

        version = self.get_field("version").i2repr(self, self.version)
        said = [version if version.startswith("V") else f"version={version}"]
        if isinstance(self.payload, ChitchatMessage):
            said.append(self.payload.carries())
        return f"Chitchat {' '.join(said)}", [UDP]


class ChitchatMessage(WirePacket):
    """A message's body."""

    field_docs = {
        "version": "The protocol version, which says how a digest is written: 0 plain, 1 compressed.",
        "type": "The message's type, as the protocol calls it.",
        "digest": "How much the sender knows of each node, in the order of the wire.",
        "delta": "What the receiver lacks: sections, each opened by a Node operation.",
        "cluster_id": "The sender's cluster: a node of another one answers BadCluster.",
    }

    @property
    def show_summary(self) -> bool:  # type: ignore[override]
        """Whether to name this layer in a summary: behind its header it has been named already."""
        return not isinstance(self.underlayer, Chitchat)

    def mysummary(self) -> str:
        """The same words as in the header's summary, for a body without one."""
        return "" if isinstance(self.underlayer, Chitchat) else f"Chitchat {self.carries()}"

    def summary(self, intern: int = 0) -> str:
        """One line, also for a body that is looked at without its header."""
        return super().summary(intern) or f"Chitchat {self.carries()}"

    def carries(self) -> str:
        """The message's type and what is in it, in one line."""
        words = [type(self).__name__.removeprefix("Chitchat")]
        if "cluster_id" in self.fieldtype:
            words.append(f"cluster={printable(self.cluster_id)}")
        if "digest" in self.fieldtype:
            words.append(f"digest={_count(self.digest, NodeDigest)}")
        if "delta" in self.fieldtype:
            words.append(f"delta={_count(self.delta, NodeOp)} nodes/{_count(self.delta, KeyValueOp)} keys")
        if self.trouble:
            words.append(f"({self.trouble.place()})")
        return " ".join(words)


def _count(items: object, layer: type[Packet]) -> int:
    return sum(type(item) is layer for item in items) if isinstance(items, list) else 0


class ChitchatSyn(ChitchatMessage):
    """Opens a handshake: what I know of whom."""

    name = "ChitchatSyn"
    fields_desc = [
        *DIGEST,
        FieldLenField("cluster_id_len", None, length_of="cluster_id", fmt="<H"),
        StringField("cluster_id", "", length_from="cluster_id_len"),
    ]


class ChitchatSynAck(ChitchatMessage):
    """Answers a Syn: what I know of whom, and what your digest says you lack."""

    name = "ChitchatSynAck"
    fields_desc = [*DIGEST, *DELTA]


class ChitchatAck(ChitchatMessage):
    """Closes a handshake: what your digest says you lack."""

    name = "ChitchatAck"
    fields_desc = [*DELTA]


class ChitchatBadCluster(ChitchatMessage):
    """Answers a Syn of another cluster."""

    name = "ChitchatBadCluster"
    fields_desc = []


MESSAGES: dict[MessageType, type[ChitchatMessage]] = {
    MessageType.Syn: ChitchatSyn,
    MessageType.SynAck: ChitchatSynAck,
    MessageType.Ack: ChitchatAck,
    MessageType.BadCluster: ChitchatBadCluster,
}
"""The layer of the body of each type of message."""

TYPE_NAMES: dict[type[Packet], str] = {layer: kind.name for kind, layer in MESSAGES.items()}
"""What the protocol calls the type of a message's layer."""

ITEMS = (NodeDigest, NodeOp, KeyValueOp, SetMaxVersionOp)
"""What lists in messages are made of."""

ANSWERS = {
    (ChitchatSyn, ChitchatSynAck),
    (ChitchatSyn, ChitchatBadCluster),
    (ChitchatSynAck, ChitchatAck),
}
"""Which message may be answered by which."""

for _type, _layer in MESSAGES.items():
    bind_layers(Chitchat, _layer, type=int(_type))
take_off_list("scapy_chitchat")
