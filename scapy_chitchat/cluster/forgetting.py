# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs that are long gone, forgotten: an engine that listens for days must not keep every run that ever was.

A run is gone when it has not spoken for a time and no observer that has spoken meanwhile names it. What is left of it
is its number, which is given to no other run.
"""

from __future__ import annotations

from scapy_chitchat.cluster.community import Community


def forget(community: Community, before: int) -> set[int]:
    """Forget the runs that nobody named and that said nothing since ``before``, in nanoseconds; gives their numbers."""
    lasting = [each for each in community.observers.values() if each.heard >= before]
    named = {subject for each in lasting for subject in each.said}
    gone = {run for run, seen in community.seen.items() if seen.last < before and run not in named}
    if not gone:
        return gone
    for run in gone:
        community.observers.pop(run, None)
        community.histories.pop(run, None)
    for observer in community.observers.values():
        observer.lose(gone)
    community.owners.forget(gone)
    community.troubles.forget(gone)
    community.propagation.forget(gone)
    community.initial.forget(gone)
    return gone
