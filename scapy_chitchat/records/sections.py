# SPDX-License-Identifier: GPL-2.0-or-later
"""What a message of any type holds, and the sections that a delta falls into.

This is the one walk over a delta: a Node operation opens a section, and what follows, up to the next one, is about that
node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import structs

from scapy_chitchat.records.classes import DeltaItem, KeyValueOp, Message, NodeDigest, NodeOp, SetMaxVersionOp
from scapy_chitchat.records.identity import ChitchatId, id_of

Change: TypeAlias = KeyValueOp | SetMaxVersionOp
"""An operation within a section."""


def digest_of(message: Message | None) -> tuple[NodeDigest, ...]:
    """The digest of a message; nothing where its type has none, or where there is no message."""
    return message.digest if message is not None and hasattr(message, "digest") else ()


def delta_of(message: Message | None) -> tuple[DeltaItem, ...]:
    """The delta of a message; nothing where its type has none, or where there is no message."""
    return message.delta if message is not None and hasattr(message, "delta") else ()


class Section(msgspec.Struct, frozen=True, gc=False):
    """What a delta tells of one node."""

    node: NodeOp
    changes: Sequence[Change]
    """The operations behind the Node operation, in their order."""
    place: int
    """The index of the Node operation in the delta."""

    @property
    def reached(self) -> int:
        """The version that a reader has when it has taken the section; 0 where there is no change in it."""
        return reached(self.changes[-1]) if self.changes else 0

    def about(self, node: ChitchatId) -> Section:
        """The same about another node."""
        if id_of(self.node) == node:
            return self
        whose = {"node_id": node.node_id, "generation_id": node.generation_id}
        changes = [structs.replace(change, **whose) for change in self.changes]
        return structs.replace(self, node=identified(self.node, node), changes=changes)


def joined(delta: Iterable[Section]) -> tuple[DeltaItem, ...]:
    """The delta of these sections."""
    return tuple(op for section in delta for op in (section.node, *section.changes))


def reached(change: Change) -> int:
    """The version that an operation brings its node to."""
    return change.version if type(change) is KeyValueOp else change.max_version


def pieces(delta: Sequence[DeltaItem]) -> list[Sequence[DeltaItem]]:
    """The operations of each section of a delta, its Node operation first.

    Raises ValueError where an operation stands before any Node operation.
    """
    found: list[Sequence[DeltaItem]] = []
    end = len(delta)
    for place in range(end - 1, -1, -1):
        if type(delta[place]) is NodeOp:
            found.append(delta[place:end])
            end = place
    if end:
        raise ValueError("the delta has an operation before any Node operation: it is about no node")
    found.reverse()
    return found


def sections(delta: Sequence[DeltaItem]) -> list[Section]:
    """The sections of a delta. Raises ValueError where an operation stands before any Node operation."""
    found: list[Section] = []
    place = 0
    for piece in pieces(delta):
        node: Any = piece[0]  # a checker does not know that it is a Node operation, and no other is one
        changes: Sequence[Any] = piece[1:]
        found.append(Section(node, changes, place))
        place += len(piece)
    return found


# --- other identities ---

_Named = TypeVar("_Named", NodeDigest, NodeOp)
_Message = TypeVar("_Message", bound=Message)


def identified(part: _Named, node: ChitchatId) -> _Named:
    """An entry of a digest or a Node operation, about another node."""
    return part if id_of(part) == node else structs.replace(part, **node._asdict())


def with_ids(message: _Message, new: Callable[[ChitchatId], ChitchatId]) -> _Message:
    """The message with other nodes in the place of these, in its digest and in its delta."""
    changes: dict[str, object] = {}
    if hasattr(message, "digest"):
        changes["digest"] = tuple(identified(entry, new(id_of(entry))) for entry in message.digest)
    if hasattr(message, "delta"):
        changes["delta"] = joined(each.about(new(id_of(each.node))) for each in sections(message.delta))
    return structs.replace(message, **changes)
