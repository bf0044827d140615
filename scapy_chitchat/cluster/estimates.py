# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be guessed of the nodes' settings from their traffic, and how much of it the model explained."""

from __future__ import annotations

import msgspec

from scapy_chitchat.cluster.community import Community
from scapy_chitchat.cluster.liveness import SECOND


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A guess, in seconds, and how many observations it rests on."""

    seconds: float
    samples: int


class Estimates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was guessed for one cluster. None: nothing showed it."""

    cluster_id: str | None
    gossip_interval: Estimate | None
    """The median between rounds."""
    tombstone_grace: Estimate | None
    """The nodes' ``marked_for_deletion_grace_period``: from the arrival of a tombstone to the round that collected
    it."""
    dead_grace: Estimate | None
    """``dead_node_grace_period``: twice the time from the verdict to the first digest without the node."""
    initial_interval: Estimate | None
    """The failure detector's, in a cluster of at most four nodes: there a verdict shows in whom a node gossips with."""
    predicted: float | None
    """The share of digest entries about others that were predicted exactly."""
    entries: int
    """How many there were to predict."""
    not_captured: int
    """Messages that nodes read and the capture does not have."""
    not_read: int
    """Messages whose receivers never read them."""
    doubled: int
    """Messages that were captured twice, and passed over the second time."""
    unassigned: int
    """Messages of which no cluster could be told."""


def estimate(community: Community, doubled: int, unassigned: int) -> Estimates:
    """What was guessed for a cluster."""
    initial = community.initial
    return Estimates(
        cluster_id=community.cluster_id,
        gossip_interval=_guess(community.intervals.guess, community.intervals.count),
        tombstone_grace=_guess(community.tombstone_graces.guess, community.tombstone_graces.count),
        dead_grace=_guess(community.dead_graces.guess, community.dead_graces.count),
        initial_interval=_guess(initial.guess or 0, len(initial.samples)),
        predicted=community.predicted,
        entries=sum(each.entries for each in community.observers.values()),
        not_captured=community.not_captured,
        not_read=community.not_read,
        doubled=doubled,
        unassigned=unassigned,
    )


def _guess(value: int, samples: int) -> Estimate | None:
    return Estimate(value / SECOND, samples) if samples else None
