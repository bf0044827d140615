# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine takes from the rest of the package, in one place: records of messages, and messages as captured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

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

    subject: ChitchatId
    last_gc_version: int
    from_version_excluded: int
    key_values: tuple[KeyValueOp, ...]
    max_version: int
    """The version that a reader stands at when it has taken the section; 0 for a section without an operation."""


_NodeOp = record_class(layers.NodeOp)
_KeyValueOp = record_class(layers.KeyValueOp)


def sections_of(delta: Iterable[object]) -> Iterator[Section]:
    """The sections of a delta that a node takes."""
    node = None
    key_values: list[KeyValueOp] = []
    reached = 0
    for op in delta:
        kind = type(op)
        if kind is _NodeOp:
            if node is not None:
                yield _section(node, key_values, reached)
            node, key_values, reached = op, [], 0
        elif kind is _KeyValueOp:
            key_values.append(op)  # type: ignore[arg-type]
            reached = op.version  # type: ignore[attr-defined]
        else:
            reached = op.max_version  # type: ignore[attr-defined]
    if node is not None:
        yield _section(node, key_values, reached)


def _section(node: object, key_values: list[KeyValueOp], reached: int) -> Section:
    identity = ChitchatId(node.node_id, node.generation_id, node.gossip_advertise_addr)  # type: ignore[attr-defined]
    return Section(
        identity,
        node.last_gc_version,  # type: ignore[attr-defined]
        node.from_version_excluded,  # type: ignore[attr-defined]
        tuple(key_values),
        reached,
    )
