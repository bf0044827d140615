# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be guessed of the nodes' settings from their traffic, and how much of it the model explained."""

from __future__ import annotations

import msgspec


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
    """``marked_for_deletion_grace_period``: from the arrival of a tombstone to the round that collected it."""
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
