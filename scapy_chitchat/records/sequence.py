# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node wants of the operations of a delta as a whole (chitchat's delta.rs, DeltaBuilder).

A section starts with a Node operation, of a node that has none yet; the versions of its key-values rise, from above 0
or above the SetMaxVersion before them. Only a delta of which this holds falls into sections (sections.py), and every
message that is read is asked for it, so here is no walk over sections, but one look at each operation.
"""

from __future__ import annotations

from collections.abc import Sequence

from scapy_chitchat.described.cursor import BreakOff
from scapy_chitchat.records.classes import DeltaItem, NodeOp, SetMaxVersionOp
from scapy_chitchat.records.makers import item_bytes


def check_sequence(delta: Sequence[DeltaItem]) -> None:
    """Raises BreakOff at the first operation that does not fit to those before it."""
    known: set[tuple[str, int, str]] = set()  # of plain tuples, which are equal to a ChitchatId and sooner made
    highest = None
    for index, op in enumerate(delta):
        if type(op) is NodeOp:
            node = (op.node_id, op.generation_id, op.gossip_advertise_addr)
            if node in known:
                raise _out_of_sequence(delta, index, "duplicate-node", f"a second section of node {op.node_id!r}")
            known.add(node)
            highest = 0
        elif highest is None:
            raise _out_of_sequence(delta, index, "no-node", "there is no Node operation before this one")
        elif type(op) is SetMaxVersionOp:
            highest = op.max_version
        elif op.version > highest:
            highest = op.version
        else:
            reason = f"version {op.version} of key {op.key!r} is not above {highest}, the highest of its section"
            raise _out_of_sequence(delta, index, "version-order", reason)


def _out_of_sequence(delta: Sequence[DeltaItem], index: int, code: str, reason: str) -> BreakOff:
    return BreakOff(code, sum(len(item_bytes(op)) for op in delta[:index]), reason, "delta")
