# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine takes from the rest of the package, in one place: records of messages, and messages as captured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from scapy_chitchat.records.classes import KeyValueOp as KeyValueOp
from scapy_chitchat.records.classes import Syn, SynAck
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.identity import ChitchatId as ChitchatId
from scapy_chitchat.records.identity import id_of
from scapy_chitchat.records.outlines import NUMBERS as NUMBERS
from scapy_chitchat.records.outlines import Digest as Digest
from scapy_chitchat.records.outlines import Outline as Outline
from scapy_chitchat.records.outlines import operations
from scapy_chitchat.records.outlines import outline as outline
from scapy_chitchat.records.sections import sections

if TYPE_CHECKING:
    from scapy_chitchat.capture import CapturedMessage as CapturedMessage


class Section(NamedTuple):
    """What a delta says of one run, as a reader takes it."""

    subject: tuple[str, int, str]
    """Its ChitchatId."""
    last_gc_version: int
    from_version_excluded: int
    key_values: Sequence[KeyValueOp]
    max_version: int
    """The version that a reader stands at when it has taken the section; 0 for a section without an operation."""


LARGE = 1 << 15
"""Messages below this have no large digest."""


def digest_size(message: CapturedMessage) -> int:
    """At most so many bytes are the digest of a SynAck; exact for a large one."""
    length = len(message.data)
    if length < LARGE:
        return length
    record = message.message
    assert isinstance(record, SynAck)
    return len(encode(Syn(record.version, digest=record.digest)))


def section_of(piece: bytes) -> Section:
    """The section of a delta that these bytes are. Raises ValueError where a node refuses it."""
    (each,) = sections(operations(piece))
    node, changes = each.node, each.changes
    key_values = [change for change in changes if isinstance(change, KeyValueOp)]
    return Section(id_of(node), node.last_gc_version, node.from_version_excluded, key_values, each.reached)


def outline_again(message: CapturedMessage) -> Outline | None:
    """The outline of a message of which the bytes have something odd, as a node would have written it.

    None: a node refuses it.
    """
    record = message.message
    return None if record is None else outline(encode(record), message.limit)
