# SPDX-License-Identifier: GPL-2.0-or-later
"""Liveness alone, at a glance: verdicts and phi without the contents, for who asks again and again.

A whole state (view.py) tries what was delivered and lists every key-value; of many nodes that takes long. Here nothing
is worked out but phi, for every pair; figures.py sums up by node. Of who fell silent neither says anything.
"""

from __future__ import annotations

from typing import NamedTuple

from scapy_chitchat.cluster._records import ChitchatId
from scapy_chitchat.cluster.community import Community
from scapy_chitchat.cluster.figures import at_work


class Judged(NamedTuple):
    """What an observer holds of a subject."""

    subject: ChitchatId
    alive: bool | None
    """Its last verdict; None where it cannot be told."""
    phi: float | None
    """At the moment of the glance; None where it cannot be told."""


class Glance(NamedTuple):
    """What one observer holds of all that it judges, its own run aside."""

    observer: ChitchatId
    judged: list[Judged]


def glances(community: Community, time: int) -> list[Glance]:
    """What the observers at work hold of each other at ``time``, in nanoseconds."""
    ids, detector = community.ids, community.detector
    return [
        Glance(
            ids[observer.run],
            [
                Judged(ids[subject], window.alive, None if window.alive is None else window.phi(time, detector))
                for subject, window in observer.windows.items()
                if subject != observer.run and subject not in observer.dropped
            ],
        )
        for observer in at_work(community, time)
    ]
