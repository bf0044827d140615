# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster that is reckoned, not run: its messages follow from one another as nodes' do, as many as one wants.

Every node knows every other from the start; keys are written, overwritten, and handed on by the rules of sections.
Nothing is deleted and nothing is lost. For measuring speed where real nodes would be too slow or too few.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scapy_chitchat.records.classes import Ack, DeltaItem, KeyValueOp, NodeDigest, NodeOp, Syn, SynAck
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.identity import ChitchatId

FANOUT = 3
"""Peers that a node speaks to in a round."""
KEYS = 10
INTERVAL = 1_000_000
"""Microseconds between a node's rounds."""
STEP = 200
"""Microseconds from a message to its answer."""
START = 1_795_600_000_000_000

Packet = tuple[int, str, str, bytes]
"""Microseconds since the epoch, the addresses of sender and receiver, and the message."""


@dataclass
class Node:
    """One node: its own keys, and how far it knows the others."""

    identity: ChitchatId
    heartbeats: list[int]
    versions: list[int]
    """By subject."""
    keys: dict[int, int] = field(default_factory=dict)
    """The version of each of its own keys."""


class Gossip:
    """``count`` nodes of one cluster, of addresses 10.CLUSTER.x.y."""

    def __init__(self, count: int, cluster: int = 0, version: int = 1) -> None:
        self._choice = random.Random(cluster)
        self._cluster_id = f"prod-{cluster}"
        self._version = version
        self.nodes = [
            Node(
                ChitchatId(f"indexer-{n}", START + n, f"10.{cluster}.{n >> 8}.{n & 255}:7280"), [1] * count, [0] * count
            )
            for n in range(count)
        ]

    def rounds(self, count: int, first: int = 0) -> Iterator[Packet]:
        """What is said in so many rounds, in order of time. ``first``: how many rounds there have been."""
        pause = INTERVAL // len(self.nodes)
        for turn in range(first, first + count):
            for place in range(len(self.nodes)):
                yield from self._round(place, turn, START + turn * INTERVAL + place * pause)

    def _round(self, own: int, turn: int, time: int) -> Iterator[Packet]:
        node = self.nodes[own]
        node.heartbeats[own] += 1
        if turn < KEYS or self._choice.random() < 0.2:
            node.versions[own] += 1
            node.keys[turn % KEYS] = node.versions[own]
        syn = Syn(self._version, "Syn", self._cluster_id, self._digest(node))
        peers = [other + (other >= own) for other in self._choice.sample(range(len(self.nodes) - 1), FANOUT)]
        for place, peer in enumerate(peers):
            yield (
                time + place,
                node.identity.gossip_advertise_addr,
                self.nodes[peer].identity.gossip_advertise_addr,
                encode(syn),
            )
        for place, peer in enumerate(peers):
            yield from self._answers(own, peer, syn, time + STEP + 2 * place * STEP)

    def _answers(self, own: int, peer: int, syn: Syn, time: int) -> Iterator[Packet]:
        node, other = self.nodes[own], self.nodes[peer]
        here, there = node.identity.gossip_advertise_addr, other.identity.gossip_advertise_addr
        self._hear(peer, [entry.heartbeat for entry in syn.digest])
        asked = [entry.max_version for entry in syn.digest]
        syn_ack = SynAck(self._version, "SynAck", self._digest(other), self._delta(other, asked))
        yield time, there, here, encode(syn_ack)
        self._hear(own, [entry.heartbeat for entry in syn_ack.digest])
        versions = [entry.max_version for entry in syn_ack.digest]
        ack = Ack(self._version, "Ack", self._delta(node, versions))
        self._take(own, versions)
        yield time + STEP, here, there, encode(ack)
        other.heartbeats[peer] += 1
        self._take(peer, node.versions)

    def _hear(self, own: int, heartbeats: list[int]) -> None:
        node = self.nodes[own]
        node.heartbeats = [max(pair) for pair in zip(node.heartbeats, heartbeats, strict=True)]
        node.heartbeats[own] += 1

    def _take(self, own: int, versions: list[int]) -> None:
        node = self.nodes[own]
        node.versions = [max(pair) for pair in zip(node.versions, versions, strict=True)]

    def _digest(self, node: Node) -> tuple[NodeDigest, ...]:
        told = zip(self.nodes, node.heartbeats, node.versions, strict=True)
        return tuple(NodeDigest(*each.identity, heartbeat, 0, version) for each, heartbeat, version in told)

    def _delta(self, node: Node, known: list[int]) -> tuple[DeltaItem, ...]:
        return tuple(self._sections(node, known))

    def _sections(self, node: Node, known: list[int]) -> Iterator[DeltaItem]:
        for subject, behind, version in zip(self.nodes, known, node.versions, strict=True):
            if version > behind:
                yield NodeOp(*subject.identity, 0, behind)
                for key, at in sorted(subject.keys.items(), key=lambda entry: entry[1]):
                    if behind < at <= version:
                        yield KeyValueOp(f"indexer.task:{key:026}", f"hdfs-logs:01HZ8Q2X4K:{at}", at, "Set")


def write_capture(path: Path, packets: Iterable[Packet]) -> int:
    """A capture of these packets, as of a network of large frames; gives how many there are."""
    written = 0
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 228))
        for time, source, destination, data in packets:
            whole = len(data) + 28
            ip = struct.pack("!BBHHHBBH4s4s", 69, 0, whole, 0, 0, 64, 17, 0, _host(source), _host(destination))
            file.write(struct.pack("<IIII", time // 10**6, time % 10**6, whole, whole) + ip)
            file.write(struct.pack("!HHHH", 7280, 7280, len(data) + 8, 0) + data)
            written += 1
    return written


def _host(address: str) -> bytes:
    return bytes(map(int, address.rpartition(":")[0].split(".")))
