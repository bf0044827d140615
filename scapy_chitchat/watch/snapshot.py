# SPDX-License-Identifier: GPL-2.0-or-later
"""What the view is given: an immutable picture of one moment, and the words in which it is to be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from scapy_chitchat.capture import CapturedMessage, Frame
from scapy_chitchat.cluster import ClusterState, Event, NodeState, Step


class Snapshot(NamedTuple):
    """One moment of the capture, as the engine knew it. Times are nanoseconds since the epoch."""

    states: tuple[ClusterState, ...] = ()
    events: tuple[Event, ...] = ()
    """The latest, the oldest first."""
    recent: tuple[CapturedMessage, ...] = ()
    """The latest messages, the oldest first."""
    steps: tuple[Step, ...] = ()
    """The ways of the latest versions, where they were asked for."""
    messages: int = 0
    first: int = 0
    now: int = 0
    """The moment that is shown: of the last message, or where the playing stands."""
    losses: tuple[str, ...] = ()
    """What was lost on the way to the engine, a line each."""
    dropped: int = 0
    """Frames that the kernel dropped."""
    playing: bool = True
    seeking: bool = False
    """The engine is on its way to a moment that was asked for."""
    ended: bool = False
    failure: str = ""
    """Why nothing more comes, if it is not the end of the files."""


Frames = tuple[Frame, ...]


class Told(Protocol):
    """How the observers see a run, in words."""

    def alive(self, node: NodeState) -> tuple[str, str]:
        """By how many of how many it is held for alive, and by whom not."""

    def phi(self, node: NodeState) -> str:
        """The largest phi."""

    def behind(self, node: NodeState) -> str:
        """How many versions the worst observers lack, and who they are."""


class Words(NamedTuple):
    """How things are told: as the other commands tell them."""

    sentence: Callable[[Event], str]
    styles: Mapping[str, str]
    """The colour of each kind of event."""
    run: Callable[[int], str]
    """A run, by its generation_id."""
    time: Callable[[int, int], str]
    """A time, and that of the first message."""
    views: Callable[[ClusterState], Told]
