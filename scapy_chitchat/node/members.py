# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster's members as one node tells of them: what a probe gets to know, and what an answering machine says.

Both have the same JSON, so that the answer to a probe can be given to others again:

    {"cluster_id": "prod", "members": [{"node_id": "indexer-0", "generation_id": 1,
        "gossip_advertise_addr": "127.0.0.1:7280", "heartbeat": 12, "last_gc_version": 0, "max_version": 3,
        "key_values": [{"key": "k", "value": "v", "version": 3, "status": "Set"}]}]}

Of a member only node_id and gossip_advertise_addr are required; ``key_values`` may be an object of keys and values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from scapy_chitchat.records.addresses import sort_key
from scapy_chitchat.records.classes import (
    BadCluster,
    DeltaItem,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    Status,
    Syn,
    SynAck,
)
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.makers import item_bytes
from scapy_chitchat.wire.protocol import BLOCK_SIZE, MAX_DATAGRAM


class KeyValue(msgspec.Struct):
    """A key of a member. Without a version it takes the next one."""

    key: str
    value: str
    version: int = 0
    status: Status = "Set"


class Member(msgspec.Struct):
    """A node of a cluster. ``max_version`` is at least that of its newest key.

    Raises ValueError for what no message can hold, and for two keys with one version.
    """

    node_id: str
    gossip_advertise_addr: str
    generation_id: int = 1
    heartbeat: int = 1
    last_gc_version: int = 0
    max_version: int = 0
    key_values: list[KeyValue] | dict[str, str] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        if isinstance(self.key_values, dict):
            self.key_values = [KeyValue(key, value) for key, value in self.key_values.items()]
        version = 0
        for each in self.keys:
            each.version = each.version or version + 1
            version = max(version, each.version)
        if len({each.version for each in self.keys}) < len(self.keys):
            raise ValueError(f"two keys of {self.node_id!r} have the same version")
        self.max_version = max(self.max_version, version)
        item_bytes(self.digest_entry())
        for each in self.keys:
            item_bytes(KeyValueOp(each.key, each.value, each.version, each.status))

    @property
    def keys(self) -> list[KeyValue]:
        """Its key-values, whichever way they were given."""
        return cast("list[KeyValue]", self.key_values)

    @property
    def chitchat_id(self) -> ChitchatId:
        """What tells this run of this node from all others."""
        return id_of(self)

    def digest_entry(self) -> NodeDigest:
        """What a digest says of it."""
        return NodeDigest(*self.chitchat_id, self.heartbeat, self.last_gc_version, self.max_version)


class Membership(msgspec.Struct):
    """A cluster_id and the members that belong to it, as one node tells of them."""

    cluster_id: str
    members: list[Member] = msgspec.field(default_factory=list)

    @classmethod
    def from_json(cls, text: str | bytes) -> Membership:
        """The cluster that JSON describes. Raises ValueError where it describes none, and says where."""
        return msgspec.json.decode(text, type=cls)

    def answer(self, syn: Syn) -> SynAck | BadCluster:
        """What a node of this cluster says to a Syn: BadCluster, or its digest and what the sender's digest lacks.

        The delta ends where the message would no longer fit into a datagram, as a node's does.
        """
        if syn.cluster_id != self.cluster_id:
            return BadCluster(syn.version)
        digest = tuple(sorted((each.digest_entry() for each in self.members), key=sort_key))
        empty = SynAck(syn.version, digest=digest)
        room = MAX_DATAGRAM - len(encode(empty))
        known = {id_of(each): each for each in syn.digest}
        operations = (op for each in self.members for op in _lacking(each, known.get(each.chitchat_id)))
        return msgspec.structs.replace(empty, delta=tuple(_fitting(operations, room)))


def _lacking(member: Member, known: NodeDigest | None) -> Iterator[DeltaItem]:
    """The section about a member for a reader who knows it as far as ``known`` says; nothing where he knows it all."""
    floor = known.max_version if known else 0
    if member.max_version <= floor:
        return
    if floor < member.last_gc_version:
        floor = 0  # what the reader lacks has been collected: it is to drop its copy
    yield NodeOp(*member.chitchat_id, member.last_gc_version, floor)
    newer = sorted((each for each in member.keys if each.version > floor), key=lambda each: each.version)
    yield from (KeyValueOp(each.key, each.value, each.version, each.status) for each in newer)
    if not newer:
        yield SetMaxVersionOp(member.max_version)


def _fitting(operations: Iterable[DeltaItem], room: int) -> Iterator[DeltaItem]:
    """Operations while a stream of them, nothing of it compressed, stays within ``room`` bytes."""
    size = 0
    for op in operations:
        size += len(item_bytes(op))
        if size + 3 * (size // BLOCK_SIZE + 1) > room:
            return
        yield op
