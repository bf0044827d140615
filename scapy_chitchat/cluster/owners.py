# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs as such: when they came and spoke, what they state of themselves, and what contradicts it.

A run's own heartbeat, max_version and last_gc_version never fall, and nobody knows more of it than itself. Where
that is
not so, the node began again under the same generation_id (its heartbeat starts from 1), or two statements cannot
both be
true.
"""

from __future__ import annotations

from scapy_chitchat.cluster._records import ChitchatId
from scapy_chitchat.cluster.roster import Numbers, Table
from scapy_chitchat.cluster.troubles import Emit, Troubles


class Seen:
    """What is known of a run as such."""

    __slots__ = (
        "ahead",
        "ahead_frame",
        "beaten",
        "began",
        "first",
        "heard",
        "heard_frame",
        "last",
        "lives",
        "outrun",
        "spoke",
        "spoke_frame",
        "stepped",
    )

    def __init__(self, first: int) -> None:
        self.first = first
        self.last = first
        self.spoke: int | None = None
        self.spoke_frame: int | None = None
        self.began: tuple[int, int] | None = None
        """When it first stated its heartbeat in this life, and which; None: it never did."""
        self.stepped = 0
        """When it first stated its present max_version."""
        self.lives = 1
        """How often it has begun: more than once with a constant generation_id."""
        self.ahead = 0
        """The highest max_version that others have claimed of it, and where."""
        self.ahead_frame: int | None = None
        self.beaten = False
        """It was said that others claim more than it has."""
        self.heard = 0
        """The highest heartbeat that others have claimed of it without having read it here, and where."""
        self.heard_frame: int | None = None
        self.outrun = False
        """It was said that others claim a higher heartbeat than it has."""


class Owners:
    """The runs of one cluster."""

    def __init__(self, ids: list[ChitchatId], emit: Emit, troubles: Troubles) -> None:
        self._ids = ids
        self._emit = emit
        self._troubles = troubles
        self.seen: dict[int, Seen] = {}
        self.generations: dict[str, int] = {}
        """The highest of each node_id."""
        self._spoken: dict[str, int] = {}
        """Of each node_id the run of the highest generation that has spoken."""

    def meet(self, table: Table, now: int) -> None:
        """A digest names runs: some for the first time."""
        if table.keys() <= self.seen.keys():
            return
        for run in table.keys() - self.seen.keys():
            self.seen[run] = Seen(now)
            node_id, generation_id, _ = self._ids[run]
            self._emit("joined", run)
            latest = self.generations.get(node_id)
            if latest is not None and generation_id > latest:
                self._emit("restarted", run, earlier_generation_id=latest)
            self.generations[node_id] = generation_id if latest is None else max(latest, generation_id)
            self._troubles.meets(run, self.seen.__contains__)

    def forget(self, runs: set[int]) -> None:
        """These runs are gone, and their node_ids where no other run has them."""
        for run in runs:
            del self.seen[run]
        left = {self._ids[run].node_id for run in self.seen}
        for node_id in {self._ids[run].node_id for run in runs} - left:
            del self.generations[node_id]
            self._spoken.pop(node_id, None)

    def speaks(self, run: int, begins: bool) -> None:
        """A run states something for the first time in a life; ``begins``: it has only just been started."""
        node_id, generation_id, _ = self._ids[run]
        latest = self._spoken.setdefault(node_id, run)
        if generation_id >= self._ids[latest].generation_id:
            self._spoken[node_id] = run
        elif begins:
            before, frame = self._ids[latest].generation_id, self.seen[latest].spoke_frame
            what = f"its generation_id was {before} (frame {frame}), and it is started with {generation_id}"
            self._emit("contradiction", run, what=what)

    def claims(self, subject: int, said: Numbers, frame: int | None) -> None:
        """Another node says how far it knows a run."""
        seen = self.seen[subject]
        if said[2] > seen.ahead:
            seen.ahead, seen.ahead_frame = said[2], frame
        if said[0] > seen.heard:
            seen.heard, seen.heard_frame = said[0], frame

    def begins_again(self, run: int, heartbeat: int, before: int) -> bool:
        """Whether a heartbeat that fell shows a node that began again; otherwise it is a contradiction."""
        seen = self.seen[run]
        if 2 * heartbeat < before:
            seen.lives += 1
            seen.ahead = seen.heard = 0
            self._emit("restarted", run, earlier_generation_id=self._ids[run].generation_id)
            return True
        self._emit("contradiction", run, what=f"its heartbeat was {before} (frame {seen.spoke_frame}), now {heartbeat}")
        return False

    def states(self, run: int, before: Numbers | None, said: Numbers) -> None:
        """What a run states of itself, after what it had stated ``before`` in the same life."""
        seen = self.seen[run]
        if before is not None:
            for name, old, new in zip(("last_gc_version", "max_version"), before[1:], said[1:], strict=True):
                if new < old:
                    self._emit("contradiction", run, what=f"its {name} was {old} (frame {seen.spoke_frame}), now {new}")
        if seen.ahead > said[2] and not seen.beaten and seen.lives == 1:
            what = f"another node had its version {seen.ahead} (frame {seen.ahead_frame}), itself is at {said[2]}"
            self._emit("contradiction", run, what=what)
        seen.beaten = seen.ahead > said[2]
        outrun = said[0] < seen.heard <= 2 * said[0]  # one that is much higher is that of an earlier life
        if outrun and not seen.outrun and seen.lives == 1:
            what = f"another node had its heartbeat {seen.heard} (frame {seen.heard_frame}), its own is {said[0]}"
            self._emit("contradiction", run, what=what)
        seen.outrun = outrun
