# SPDX-License-Identifier: GPL-2.0-or-later
"""What an engineer should look at and no single message shows: stuck, silent, oversized, oddly addressed nodes.

Each is said once, and again when it has been otherwise between.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Protocol

from scapy_chitchat.cluster._records import ChitchatId, Section
from scapy_chitchat.cluster.events import Kind
from scapy_chitchat.cluster.liveness import SECOND
from scapy_chitchat.cluster.roster import Roster, Table

MAX_DATAGRAM = 65507
"""The most bytes that a message can have."""

_NEAR = MAX_DATAGRAM * 9 // 10

_AGAIN_AND_AGAIN = 3
"""So many sections without an operation in a row are no chance."""

SILENT_ROUNDS = 5
"""A node that says nothing for so many rounds is silent."""


class Emit(Protocol):
    """Says that something happened: kind, subject and observer by their numbers, and what the kind adds."""

    def __call__(self, event: Kind, subject: int | None, observer: int | None = None, **added: object) -> None:
        """Say it."""


class Troubles:
    """The troubles of one cluster."""

    def __init__(self, roster: Roster, emit: Emit) -> None:
        self._roster = roster
        self._ids = roster.ids
        self._emit = emit
        self._empty: dict[int, tuple[int, int]] = {}
        self._silences: dict[int, int] = {}
        self._large: set[int] = set()
        self._outside: set[int] = set()

    def section(self, subject: int, section: Section, as_of: int) -> None:
        """Somebody sends a section: one without an operation, of a sender that has more, has no room for the next."""
        if section.max_version and subject not in self._empty:
            return
        start = section.from_version_excluded
        count, at = self._empty.get(subject, (0, start))
        if section.max_version:
            if section.max_version > at and count:
                del self._empty[subject]
        elif as_of > start:
            self._empty[subject] = count + 1, max(start, at)
            if count + 1 == _AGAIN_AND_AGAIN:
                self._emit("stuck", subject, from_version_excluded=start, behind=as_of - start)

    def is_stuck(self, subject: int) -> bool:
        """Whether sections about it go out empty."""
        return self._empty.get(subject, (0, 0))[0] >= _AGAIN_AND_AGAIN

    def forget(self, runs: set[int]) -> None:
        """These runs are gone."""
        for run in runs:
            self._empty.pop(run, None)
            self._silences.pop(run, None)
        self._large -= runs
        self._outside -= runs

    def death(self, observer: int, subject: int, pause: int, spoke: int | None, now: int, interval: int) -> None:
        """An observer calls a subject dead; ``pause``: how long the observer itself had no round before this one."""
        if not interval:
            return
        if pause > SILENT_ROUNDS * interval:
            self._silent(observer, "observer", pause, now)
        elif spoke is not None and now - spoke > SILENT_ROUNDS * interval:
            self._silent(subject, "subject", now - spoke, now)

    def _silent(self, run: int, who: str, length: int, now: int) -> None:
        since = now - length
        if self._silences.get(run) != since:
            self._silences[run] = since
            self._emit("silent", run, seconds=length / SECOND, silent=who)

    def digest(self, run: int, table: Table, size: int) -> None:
        """A node states a digest in a message of so many bytes."""
        if size < _NEAR or not table:
            self._large.discard(run)
            return
        if run not in self._large:
            self._large.add(run)
            self._emit("digest-near-limit", run, bytes=size, entries=len(table))

    def meets(self, run: int, known: Callable[[int], bool]) -> None:
        """A run is met; ``known`` tells the runs of the same cluster."""
        why = odd(self._ids[run])
        if why is None:
            address, node_id = self._ids[run].gossip_advertise_addr, self._ids[run].node_id
            others = (self._ids[each].node_id for each in self._roster.by_address[address] if known(each))
            other = next((each for each in others if each != node_id), None)
            why = f"{other} advertises it, too" if other is not None else None
        if why is not None:
            self._emit("odd-address", run, why=why)

    def speaks(self, run: int, source: str) -> None:
        """A run speaks from an address: one elsewhere that advertises its loopback cannot be reached."""
        if run in self._outside or source == self._ids[run].gossip_advertise_addr:
            return
        self._outside.add(run)
        if _ip(self._ids[run].gossip_advertise_addr).is_loopback and not _ip(source).is_loopback:
            self._emit("odd-address", run, why=f"a loopback address, and it speaks from {source}")


def odd(identity: ChitchatId) -> str | None:
    """Why nobody can reach a run as it advertises itself."""
    address = identity.gossip_advertise_addr
    if address.endswith(":0"):
        return "port 0"
    ip = _ip(address)
    if ip.is_unspecified:
        return "an unspecified address"
    return "a multicast address" if ip.is_multicast else None


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
