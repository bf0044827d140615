# SPDX-License-Identifier: GPL-2.0-or-later
"""Who sends: from the address of a packet to the run that speaks there, and to its cluster.

The entry of a digest with the packet's source address, of several runs the youngest (a restarted node has the
address of its earlier run, and gossips with itself). Behind address translation no entry has it: then it is the only
entry whose heartbeat rises with each statement from there and that speaks nowhere else. A digest of one entry is a
node's first.
"""

from __future__ import annotations

from collections.abc import Mapping

from scapy_chitchat.cluster.hearing import Heard
from scapy_chitchat.cluster.inbox import Inbox
from scapy_chitchat.cluster.roster import Roster, Table
from scapy_chitchat.net.addresses import join_address

_MOST_PAIRS = 100_000
"""The most pairs of addresses of which the last cluster is remembered."""


class Speaker:
    """One address that messages come from or go to."""

    __slots__ = ("address", "candidates", "cluster_id", "heard", "inbox", "last_data", "run")

    def __init__(self, address: str) -> None:
        self.address = address
        self.run: int | None = None
        """The run that speaks here now."""
        self.cluster_id: str | None = None
        self.inbox = Inbox()
        """What was sent here: a socket is older than what is known of the run that reads it."""
        self.candidates: dict[int, int] | None = None
        """Behind address translation: the runs that it may be, with their last heartbeat."""
        self.last_data = b""
        self.heard: Heard | None = None
        """The last Syn from here, which nodes send several times."""


class Speakers:
    """All addresses, and the clusters that are talked of between each two."""

    def __init__(self, roster: Roster) -> None:
        self._ids = roster.ids
        self._advertising = roster.by_address
        self._by_address: dict[tuple[str, int], Speaker] = {}
        self._advertised: dict[str, int] = {}
        self._home: dict[int, Speaker] = {}
        self._pairs: dict[tuple[Speaker, Speaker], str] = {}

    def __len__(self) -> int:
        return len(self._by_address)

    def waiting(self) -> int:
        """How many messages wait to be read, at all addresses."""
        return sum(len(each.inbox.waiting) for each in self._by_address.values())

    def at(self, ip: str, port: int) -> Speaker:
        """The speaker at an address; one that nobody speaks from may be where a run is known to be reached."""
        speaker = self._by_address.get((ip, port))
        if speaker is None:
            speaker = self._by_address[ip, port] = Speaker(join_address(ip, port))
        return speaker

    def receiver(self, speaker: Speaker) -> Speaker:
        """Who reads what is sent to an address: behind address translation that is one who speaks from another."""
        if speaker.run is None and speaker.address in self._advertised:
            return self._home[self._advertised[speaker.address]]
        return speaker

    def identify(self, speaker: Speaker, table: Table) -> int | None:
        """The run that states this digest at this address; None: no node (a probe), or it cannot be told."""
        run = speaker.run
        ids = self._ids
        if run is not None and run in table and ids[run].gossip_advertise_addr != speaker.address:
            return run
        found = [each for each in self._advertising.get(speaker.address, ()) if each in table]
        if found:
            best = max(found, key=lambda each: ids[each].generation_id)
        elif len(table) == 1:
            (best,) = table
        else:
            told = self._by_rising(speaker, table)
            if told is None:
                return None
            best = told
        self._settle(speaker, best)
        return best

    def _by_rising(self, speaker: Speaker, table: Table) -> int | None:
        before = speaker.candidates
        taken = self._home
        if before is None:
            speaker.candidates = {each: said[0] for each, said in table.items() if each not in taken}
        else:
            speaker.candidates = {
                each: table[each][0]
                for each, heartbeat in before.items()
                if each in table and table[each][0] > heartbeat and each not in taken
            } or None
        left = speaker.candidates or {}
        return next(iter(left)) if len(left) == 1 and before is not None else None

    def _settle(self, speaker: Speaker, run: int) -> None:
        if speaker.run == run:
            return
        speaker.run = run
        speaker.candidates = None
        self._home[run] = speaker
        self._advertised[self._ids[run].gossip_advertise_addr] = run

    def syn_bytes(self) -> dict[int, int]:
        """The bytes of the last Syn of each run."""
        return {each.run: len(each.last_data) for each in self._by_address.values() if each.run is not None}

    def lose(self, gone: Mapping[str, set[int]]) -> None:
        """What waits to be read says nothing of these runs any more, by cluster."""
        for speaker in self._by_address.values():
            for each in speaker.inbox.waiting:
                if each.cluster_id is not None and gone[each.cluster_id]:
                    each.lose(gone[each.cluster_id])

    def forget(self, gone: set[int], before: int) -> None:
        """These runs are gone, and the addresses where nobody is known to speak and nothing came since ``before``."""
        for address, speaker in list(self._by_address.items()):
            waiting = speaker.inbox.waiting
            if speaker.run in gone or (speaker.run is None and waiting and waiting[-1].time < before):
                del self._by_address[address]
        left = set(self._by_address.values())
        self._pairs = {pair: each for pair, each in self._pairs.items() if left.issuperset(pair)}
        for run in gone:
            self._home.pop(run, None)
            advertised = self._ids[run].gossip_advertise_addr
            if self._advertised.get(advertised) == run:
                del self._advertised[advertised]

    # --- clusters ---

    def says(self, source: Speaker, destination: Speaker, cluster_id: str) -> None:
        """A Syn of this cluster goes from one address to another."""
        if len(self._pairs) >= _MOST_PAIRS:
            self._pairs.clear()
        self._pairs[source, destination] = cluster_id

    def cluster_of(self, syn_from: Speaker, syn_to: Speaker) -> str | None:
        """The cluster of an exchange that a Syn between these addresses began; None: cannot be told."""
        said = self._pairs.get((syn_from, syn_to))
        if said is not None:
            return said
        return syn_from.cluster_id if syn_to.cluster_id is None else syn_to.cluster_id
