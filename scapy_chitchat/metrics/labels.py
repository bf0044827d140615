# SPDX-License-Identifier: GPL-2.0-or-later
"""Label values out of what strangers send: harmless, short, and never more than so many."""

from __future__ import annotations

from scapy_chitchat.net.text import printable

MOST_CLUSTERS = 16
"""Clusters that have a label of their own."""

OTHER = "other"
"""The label of all further clusters."""

_LONGEST = 64
"""Characters of a label before it is cut."""


def label(text: str) -> str:
    """A string off the wire as the value of a label."""
    shown = printable(text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


class ClusterLabels:
    """The labels of clusters: the first that are heard of have their own, all later ones share one."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.overflowed = False
        """There were more clusters than have labels."""

    def of(self, cluster_id: str) -> str:
        """The label of a cluster."""
        known = self.known.get(cluster_id)
        if known is not None:
            return known
        made = label(cluster_id)
        if len(self.known) >= MOST_CLUSTERS or made in self.known.values() or made == OTHER:
            self.overflowed = True
            return OTHER
        self.known[cluster_id] = made
        return made

    def all(self) -> list[str]:
        """Every label that was given out."""
        return [*self.known.values(), *([OTHER] if self.overflowed else [])]
