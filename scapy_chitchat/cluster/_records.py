# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine takes from the rest of the package, in one place: records of messages, and messages as captured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from scapy_chitchat.records.classes import Ack as Ack
from scapy_chitchat.records.classes import DeltaItem as DeltaItem
from scapy_chitchat.records.classes import KeyValueOp as KeyValueOp
from scapy_chitchat.records.classes import NodeDigest as NodeDigest
from scapy_chitchat.records.classes import Syn as Syn
from scapy_chitchat.records.classes import SynAck as SynAck
from scapy_chitchat.records.identity import ChitchatId as ChitchatId
from scapy_chitchat.records.identity import id_of
from scapy_chitchat.records.sections import sections

if TYPE_CHECKING:
    from scapy_chitchat.capture import CapturedMessage as CapturedMessage


class Section(NamedTuple):
    """What a delta says of one run, as a reader takes it."""

    subject: ChitchatId
    last_gc_version: int
    from_version_excluded: int
    key_values: Sequence[KeyValueOp]
    max_version: int
    """The version that a reader stands at when it has taken the section; 0 for a section without an operation."""


def sections_of(delta: Sequence[DeltaItem]) -> Iterator[Section]:
    """The sections of a delta that a node takes."""
    for each in sections(delta):
        node, changes = each.node, each.changes
        key_values = [change for change in changes if isinstance(change, KeyValueOp)]
        yield Section(id_of(node), node.last_gc_version, node.from_version_excluded, key_values, each.reached)
