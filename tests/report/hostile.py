# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster all of whose strings are hostile to whoever shows them: markup, ends of scripts, escapes, bidi marks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.gossip import Gossip, Node, write_capture
from scapy_chitchat.records.classes import DeltaItem, KeyValueOp, NodeOp

NAMES = (
    "<script>alert(1)</script>",
    "]]></script><!--<svg onload=alert(2)>",
    "\x1b[31mred\x1b[0m\u202egnirts",
    '"><img src=x onerror=alert(3)>',
    "<b>bold</b>",
    "<a href='javascript:alert(4)'>$\\alpha$ <b>bold</b></a>{{ 7*7 }}%{x}\u2028\u2066",
)
"""The node_ids; the cluster_id, keys and values are of the same kind."""

SILENT_FROM = 12
"""The round from which on the last node says nothing and answers nobody."""


class Hostile(Gossip):
    """Gossip of such nodes."""

    def __init__(self) -> None:
        super().__init__(len(NAMES))
        self._cluster_id = "</title><script>alert(5)</script>\x1b]0;t\x07\u202e"
        for node, name in zip(self.nodes, NAMES, strict=True):
            node.identity = node.identity._replace(node_id=name)

    def _sections(self, node: Node, known: list[int]) -> Iterator[DeltaItem]:
        for each in super()._sections(node, known):
            if isinstance(each, NodeOp):
                yield each
            elif isinstance(each, KeyValueOp):
                name = NAMES[each.version % len(NAMES)]
                yield KeyValueOp(f"{name}{each.version % 3}", f"{name}{each.version}", each.version, each.status)


def write_hostile(path: Path) -> None:
    """A capture of them: all well at first, then the last node falls silent."""
    cluster = Hostile()
    last = cluster.nodes[-1].identity.gossip_advertise_addr
    packets = [*cluster.rounds(SILENT_FROM)]
    packets += [each for each in cluster.rounds(15, SILENT_FROM) if last not in each[1:2]]
    write_capture(path, packets)
