# SPDX-License-Identifier: GPL-2.0-or-later
"""Types of messages: by which header a datagram is of which, and which answers which."""

from __future__ import annotations

from scapy_chitchat.described.messages import headers, type_name
from scapy_chitchat.wire.layers import ANSWERS, MESSAGES, Chitchat
from scapy_chitchat.wire.protocol import MAGIC, MessageType

HEADERS: dict[bytes, MessageType] = {
    header: MessageType[type_name(layer)] for header, (layer, _) in headers(Chitchat).items()
}
"""Every header that a node takes, and the type that it says."""

HEADER_SIZE = len(next(iter(HEADERS)))
"""Bytes before the body of a message."""

ANSWERED_BY: dict[MessageType, tuple[MessageType, ...]] = {
    kind: answers
    for kind in MessageType
    if (answers := tuple(each for each in MessageType if (MESSAGES[kind], MESSAGES[each]) in ANSWERS))
}
"""The types of messages that are answered, and the types that may be the answer."""

_MAGIC = MAGIC.to_bytes(2, "little")


def type_of(data: bytes) -> MessageType | None:
    """The type of message that a datagram is by its header; None where a node drops it for its header."""
    return HEADERS.get(data[:HEADER_SIZE])


def looks_like_message(data: bytes, at_home: bool) -> bool:
    """Whether a datagram is a chitchat message, by its header.

    ``at_home``: it goes from or to a port where gossip is at home; there the magic number is enough, elsewhere a node
    must know version and type.
    """
    return data[:2] == _MAGIC and (at_home or data[:HEADER_SIZE] in HEADERS)
