# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine takes from the rest of the package, in one place: records of messages, and messages as captured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from scapy_chitchat.records.classes import Ack as Ack
from scapy_chitchat.records.classes import DeltaItem as DeltaItem
from scapy_chitchat.records.classes import KeyValueOp as KeyValueOp
from scapy_chitchat.records.classes import NodeDigest as NodeDigest
from scapy_chitchat.records.classes import NodeOp as NodeOp
from scapy_chitchat.records.classes import Syn as Syn
from scapy_chitchat.records.classes import SynAck as SynAck
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.identity import ChitchatId as ChitchatId
from scapy_chitchat.records.identity import id_of
from scapy_chitchat.records.sections import pieces as pieces
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


_LARGE = 1 << 15
"""Messages below this have no large digest."""


def digest_size(message: SynAck, length: int) -> int:
    """At most so many bytes are a SynAck's digest, of a message of ``length`` bytes; exact for a large one."""
    return length if length < _LARGE else len(encode(Syn(message.version, digest=message.digest)))


def section_of(piece: Sequence[DeltaItem]) -> Section:
    """The section that these operations of a delta are."""
    (each,) = sections(piece)
    node, changes = each.node, each.changes
    key_values = [change for change in changes if isinstance(change, KeyValueOp)]
    return Section(id_of(node), node.last_gc_version, node.from_version_excluded, key_values, each.reached)
