# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages of one cluster, counted: types over time, bytes by the beginnings of keys, pairs, digests, findings."""

from __future__ import annotations

from collections import Counter

from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.net.text import printable
from scapy_chitchat.records.checks import Finding
from scapy_chitchat.records.classes import Ack, KeyValueOp, Syn, SynAck
from scapy_chitchat.report.bins import Bins

TYPES = ("Syn", "SynAck", "Ack", "BadCluster")
"""The types of messages, in the order of a bin's counts; behind these stands what a node refuses."""

MOST_PREFIXES = 200
"""The most beginnings of keys that are told apart; the rest is counted together."""

MOST_PAIRS = 100_000
"""The most pairs of addresses that are told apart: those of 300 nodes."""

_MOST_RECEIVERS = 1000
_MOST_CACHED = 4096
OTHERS = "other keys"
"""What the rest is called."""


class Digests:
    """The largest digest of a stretch of time."""

    __slots__ = ("entries", "size")

    def __init__(self, size: int = 0, entries: int = 0) -> None:
        self.size = size
        self.entries = entries

    def merged(self, other: Digests) -> Digests:
        """The larger one."""
        return self if self.size >= other.size else other


class Found:
    """The messages with one finding."""

    def __init__(self, finding: Finding, frame: int) -> None:
        self.finding = finding
        self.first_frame = frame
        self.messages = 0
        self.receivers: Counter[str] = Counter()


def _summed(first: list[int], second: list[int]) -> list[int]:
    return [mine + other for mine, other in zip(first, second, strict=True)]


def _none() -> list[int]:
    return [0] * (len(TYPES) + 1)


class Traffic:
    """What one cluster's messages weigh."""

    def __init__(self, start: int) -> None:
        self.types: Bins[list[int]] = Bins(start, _none, _summed)
        self.digests: Bins[Digests] = Bins(start, Digests, Digests.merged)
        self.largest = Digests()
        """The largest Syn so far."""
        self.version = 0
        """Its protocol version."""
        self.bytes = 0
        """Of all messages."""
        self.prefixes: dict[str, list[int]] = {}
        """Bytes of keys and values as they are before compression, and how many key-values, by beginning of the key."""
        self.asked: Counter[tuple[str, str]] = Counter()
        """Syns by sender's and receiver's address."""
        self.found: dict[str, Found] = {}
        self._prefix_of: dict[str, str] = {}

    def add(self, message: CapturedMessage, time: int, findings: list[Finding]) -> None:
        """Count a message."""
        record = message.message
        size = len(message.datagram.data)
        self.bytes += size
        counts = self.types.at(time)
        if findings:
            self._add_findings(message, findings)
        if record is None:
            counts[-1] += 1
            return
        counts[TYPES.index(record.type)] += 1
        if isinstance(record, Syn):
            pair = message.source, message.destination
            if pair in self.asked or len(self.asked) < MOST_PAIRS:
                self.asked[pair] += 1
            self._add_digest(size, record, time)
        elif isinstance(record, SynAck | Ack) and record.delta:
            self._add_delta(record)

    def _add_digest(self, size: int, record: Syn, time: int) -> None:
        held = self.digests.at(time)
        if size > held.size:
            held.size, held.entries = size, len(record.digest)
            if size > self.largest.size:
                self.largest, self.version = Digests(size, len(record.digest)), record.version

    def _add_delta(self, record: SynAck | Ack) -> None:
        for each in record.delta:
            if type(each) is KeyValueOp:
                key, value = each.key, each.value
                prefix = self._prefix_of.get(key) or self._prefix(key)
                weighed = self.prefixes[prefix]
                weighed[0] += _bytes(key) + _bytes(value)
                weighed[1] += 1

    def _prefix(self, key: str) -> str:
        if len(self._prefix_of) >= _MOST_CACHED:
            self._prefix_of.clear()
        prefix = beginning(key)
        if prefix not in self.prefixes:
            if len(self.prefixes) >= MOST_PREFIXES:
                prefix = OTHERS
            self.prefixes.setdefault(prefix, [0, 0])
        self._prefix_of[key] = prefix
        return prefix

    def _add_findings(self, message: CapturedMessage, findings: list[Finding]) -> None:
        codes = set()
        for each in findings:
            group = self.found.get(each.code)
            if group is None:
                group = self.found[each.code] = Found(each, message.frame)
            if each.code not in codes:
                codes.add(each.code)
                group.messages += 1
                receiver = message.destination
                if receiver in group.receivers or len(group.receivers) < _MOST_RECEIVERS:
                    group.receivers[receiver] += 1


def beginning(key: str) -> str:
    """What a key begins with: up to its first colon or slash, or the whole key; fit to be shown."""
    ends = [at for at in (key.find(":"), key.find("/")) if at > 0]
    return printable(key[: min(ends) + 1] + "…" if ends else key[:80])


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
