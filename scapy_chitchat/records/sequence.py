# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node wants of the operations of a delta as a whole (chitchat's delta.rs, DeltaBuilder).

A section starts with a Node operation, of a node that has none yet; the versions of its key-values rise, from above 0
or above the SetMaxVersion before them.
"""

from __future__ import annotations

from collections.abc import Sequence

from scapy_chitchat.described.cursor import BreakOff
from scapy_chitchat.records.classes import DeltaItem, KeyValueOp, NodeOp
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.makers import item_bytes
from scapy_chitchat.records.sections import sections


def check_sequence(delta: Sequence[DeltaItem]) -> None:
    """Raises BreakOff at the first operation that does not fit to those before it."""
    if delta and not isinstance(delta[0], NodeOp):
        raise _out_of_sequence(delta, 0, "no-node", "there is no Node operation before this one")
    known: set[ChitchatId] = set()
    for section in sections(delta):
        node = id_of(section.node)
        if node in known:
            reason = f"a second section of node {node.node_id!r}"
            raise _out_of_sequence(delta, section.place, "duplicate-node", reason)
        known.add(node)
        highest = 0
        for index, op in enumerate(section.changes, section.place + 1):
            if not isinstance(op, KeyValueOp):
                highest = op.max_version
            elif op.version > highest:
                highest = op.version
            else:
                reason = f"version {op.version} of key {op.key!r} is not above {highest}, the highest of its section"
                raise _out_of_sequence(delta, index, "version-order", reason)


def _out_of_sequence(delta: Sequence[DeltaItem], index: int, code: str, reason: str) -> BreakOff:
    return BreakOff(code, sum(len(item_bytes(op)) for op in delta[:index]), reason, "delta")
