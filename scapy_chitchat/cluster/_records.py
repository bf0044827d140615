# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine takes from the rest of the package, in one place: records of messages, and messages as captured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from scapy_chitchat.records.makers import record_class
from scapy_chitchat.wire import layers

if TYPE_CHECKING:
    from scapy_chitchat.capture import CapturedMessage as CapturedMessage
    from scapy_chitchat.records import Message as Message


class ChitchatId(NamedTuple):
    """Who a node is: a run of it, as a restart is a new generation."""

    node_id: str
    generation_id: int
    gossip_advertise_addr: str


class NodeDigest(Protocol):
    """An entry of a digest."""

    node_id: str
    generation_id: int
    gossip_advertise_addr: str
    heartbeat: int
    last_gc_version: int
    max_version: int


class KeyValueOp(Protocol):
    """A key-value of a section."""

    key: str
    value: str
    version: int
    status: str


class Section(NamedTuple):
    """What a delta says of one run."""

    subject: tuple[str, int, str]
    """Its ChitchatId."""
    last_gc_version: int
    from_version_excluded: int
    key_values: Sequence[KeyValueOp]
    max_version: int
    """The version that a reader stands at when it has taken the section; 0 for a section without an operation."""


_identity = attrgetter(*ChitchatId._fields)
_NodeOp = record_class(layers.NodeOp)
_KeyValueOp = record_class(layers.KeyValueOp)


def sections_of(delta: Iterable[object]) -> Iterator[Section]:
    """The sections of a delta that a node takes."""
    node: Any = None
    key_values: list[KeyValueOp] = []
    reached = 0
    op: Any
    for op in delta:
        kind = type(op)
        if kind is _NodeOp:
            if node is not None:
                yield Section(_identity(node), node.last_gc_version, node.from_version_excluded, key_values, reached)
            node, key_values, reached = op, [], 0
        elif kind is _KeyValueOp:
            key_values.append(op)
            reached = op.version
        else:
            reached = op.max_version
    if node is not None:
        yield Section(_identity(node), node.last_gc_version, node.from_version_excluded, key_values, reached)
