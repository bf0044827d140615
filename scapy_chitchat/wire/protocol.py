# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers of the chitchat protocol.

Source: chitchat's public sources, versions 0.9.0 to 0.13.0 (``message_serialize.rs``,
``serialize.rs``, ``delta.rs``, ``digest.rs``), held against running nodes. Names are the protocol's own.
"""

from __future__ import annotations

from enum import IntEnum


class ProtocolVersion(IntEnum):
    """Third byte of the header. It changes the encoding of digests alone."""

    V0 = 0
    V1 = 1


class MessageType(IntEnum):
    """Fourth byte of the header: the step of the gossip handshake."""

    Syn = 0
    SynAck = 1
    Ack = 2
    BadCluster = 3


class BlockType(IntEnum):
    """First byte of a block of a compressed stream."""

    NoMoreBlocks = 0
    Compressed = 1
    Uncompressed = 2


class DeltaOpTag(IntEnum):
    """First byte of an operation of a delta."""

    Node = 0
    KeyValue = 1
    SetMaxVersion = 2


class DeletionStatus(IntEnum):
    """Last byte of a KeyValue operation."""

    Set = 0
    Delete = 1
    DeleteAfterTtl = 2


MAGIC = 45139
"""First two bytes of every message, little-endian: ``53 b0`` on the wire."""

UDP_PORTS = (7280, 7282, 10000)
"""Where gossip is usually found: Quickwit's default port, that of its Helm chart, and that of chitchat's own test
server."""

MAX_U64 = 2**64 - 1
"""The largest generation_id, heartbeat or version: Rust's u64."""

MAX_DATAGRAM = 65507
"""The most bytes that a message can have: 65,535 less the IPv4 and UDP headers."""

DIGEST_NEAR_LIMIT = MAX_DATAGRAM * 9 // 10
"""A digest of more bytes is close enough to the limit to say so. A node cuts its deltas to what is left beside its
digest; the digest itself is never cut, and one that does not fit any more cannot be sent at all."""

BLOCK_SIZE = 16384
"""A writer cuts a stream into blocks of this many bytes; the last one is shorter."""

MAX_BLOCK_OUTPUT = 65535
"""The most bytes that a reader lets one compressed block grow to."""

ZSTD_LEVEL = 3
"""The writer asks for level 0, which is zstd's word for its default, 3."""

MOST_ITEMS = 250_000
"""Our own bound on the items of one list, for the same reason: one datagram could hold twenty million operations."""

STREAM_LIMIT = 32 * 1024 * 1024
"""Our own bound on the decompressed bytes of one stream (a node has none): a datagram of 65,507 bytes can
hold some 2,800 blocks that each grow to 65,535 bytes."""
