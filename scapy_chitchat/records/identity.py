# SPDX-License-Identifier: GPL-2.0-or-later
"""Which run of which node something is about."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class ChitchatId(NamedTuple):
    """What tells one run of one node from all others: nodes take two that differ in anything for two nodes."""

    node_id: str
    generation_id: int
    gossip_advertise_addr: str


class Identified(Protocol):
    """What says whom it is about: an entry of a digest, a Node operation, a member."""

    @property
    def node_id(self) -> str:
        """The node's name."""

    @property
    def generation_id(self) -> int:
        """Which run of it."""

    @property
    def gossip_advertise_addr(self) -> str:
        """Where it is reached."""


def id_of(part: Identified) -> ChitchatId:
    """Whom a part of a message is about."""
    return ChitchatId(part.node_id, part.generation_id, part.gossip_advertise_addr)
