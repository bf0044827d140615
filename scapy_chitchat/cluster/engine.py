# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine: captured messages in, events and states out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scapy_chitchat.cluster.estimates import Estimates
from scapy_chitchat.cluster.events import Event
from scapy_chitchat.cluster.ladder import Step
from scapy_chitchat.cluster.settings import Settings
from scapy_chitchat.cluster.state import ClusterState

if TYPE_CHECKING:
    from scapy_chitchat.cluster._records import CapturedMessage


class Cluster:
    """What captured messages say about the clusters whose nodes sent them."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    def feed(self, message: CapturedMessage) -> list[Event]:
        """Take one message, in the order of the capture; gives what it shows to have happened."""
        return []

    def finish(self) -> list[Event]:
        """What is only known at the end of the capture."""
        return []

    def at(self, time: int | None = None) -> list[ClusterState]:
        """The clusters at ``time`` (nanoseconds; not before the last message; None: then). One a cluster_id."""
        return []

    def estimates(self) -> list[Estimates]:
        """What was guessed of the nodes' settings. One a cluster_id."""
        return []

    def followed(self) -> list[Step]:
        """The versions that ``Settings.follow`` asked for, in the order in which they were seen."""
        return []
