# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster in a few figures, for whoever asks again and again: no contents, no copies of replicas.

Counted is what holds now. An observer counts while it speaks; a member is the current run of a node_id that one of
these observers names in its digest; verdicts are those of each observer's last round that is over. What a node that
fell silent once thought of the others says nothing of today.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from scapy_chitchat.cluster.community import Community
from scapy_chitchat.cluster.liveness import SECOND
from scapy_chitchat.cluster.observer import Observer
from scapy_chitchat.cluster.troubles import SILENT_ROUNDS

_LEAST = 10 * SECOND
"""No observer is left out before it said nothing for so long, however short its rounds are."""


class NodeFigures(NamedTuple):
    """What the observers make of one member."""

    node_id: str
    alive: int
    """How many of the others call it alive."""
    dead: int
    """How many of the others call it dead."""
    behind: int
    """By how many versions the observer that is furthest behind lacks what is known of it."""
    behind_in_all: int
    """The same, of all observers together."""
    phi: float | None
    """The highest phi that another has of it now; None where none can be told."""


class ClusterFigures(NamedTuple):
    """One cluster, as far as its members speak now."""

    cluster_id: str
    observers: int
    """How many members speak."""
    digest_bytes: int
    """Of the largest last Syn of these, which carries their digest; 0 where none sent one."""
    predicted: float | None
    """As in ``ClusterState``."""
    interval: float
    """Seconds between gossip rounds; 0 where nothing shows it."""
    nodes: list[NodeFigures]
    """The members, in the order in which they were first named."""


def figures(community: Community, syn_bytes: Mapping[int, int], time: int) -> ClusterFigures:
    """The figures of a cluster at ``time``, in nanoseconds. ``syn_bytes``: of the last Syn of each run."""
    speaking = at_work(community, time)
    named = {subject for each in speaking for subject in each.said}
    members = [run for run in sorted(named) if _is_current(community, run)]
    return ClusterFigures(
        cluster_id=community.cluster_id,
        observers=len(speaking),
        digest_bytes=max((syn_bytes.get(each.run, 0) for each in speaking), default=0),
        predicted=community.predicted,
        interval=community.interval / SECOND,
        nodes=[_node(community, run, speaking, time) for run in members],
    )


def at_work(community: Community, time: int) -> list[Observer]:
    """The observers that speak at ``time``: current runs that said something not long ago."""
    patience = max(_LEAST, SILENT_ROUNDS * community.interval)
    return [
        each
        for each in community.observers.values()
        if each.stated and time - each.heard <= patience and _is_current(community, each.run)
    ]


def _is_current(community: Community, run: int) -> bool:
    node_id, generation_id, _ = community.ids[run]
    return community.owners.generations[node_id] == generation_id


def _node(community: Community, run: int, speaking: Iterable[Observer], time: int) -> NodeFigures:
    stands = [numbers[2] if (numbers := each.numbers.get(run)) else 0 for each in speaking]
    known = max([community.seen[run].ahead, *stands])
    alive = dead = 0
    phis = []
    for each in speaking:
        window = each.windows.get(run)
        if window is None or window.alive is None or each.run == run:
            continue
        alive += window.alive
        dead += not window.alive
        phi = window.phi(time, community.detector)
        if phi is not None:
            phis.append(phi)
    return NodeFigures(
        node_id=community.ids[run].node_id,
        alive=alive,
        dead=dead,
        behind=known - min(stands, default=known),
        behind_in_all=sum(known - each for each in stands),
        phi=max(phis, default=None),
    )
