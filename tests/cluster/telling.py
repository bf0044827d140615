"""Messages made by hand, as if they had been captured: what the tests of the engine feed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scapy_chitchat.capture import CapturedMessage, Datagram
from scapy_chitchat.cluster import Cluster, Event, ReplicaState, Settings
from scapy_chitchat.records.classes import (
    Ack,
    BadCluster,
    DeltaItem,
    KeyValueOp,
    Message,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    Status,
    Syn,
    SynAck,
)
from scapy_chitchat.records.codec import encode

START = 1_800_000_000_000_000_000
MS = 1_000_000


@dataclass(frozen=True)
class Who:
    """A run: where it is is its number."""

    number: int
    generation: int = 1
    name: str = ""
    advertised: str = ""

    @property
    def node_id(self) -> str:
        return self.name or f"n{self.number}"

    @property
    def address(self) -> str:
        return f"127.0.0.{self.number}:7280"

    def identity(self) -> tuple[str, int, str]:
        return self.node_id, self.generation, self.advertised or self.address


A, B, C = Who(1), Who(2), Who(3)
KeyValue = tuple[str, str, int, Status]
"""Key, value, version, status."""
Said = dict[Who, tuple[int, int, int]]
"""A digest: heartbeat, last_gc_version, max_version of each."""
Section = tuple[Who, int, int, Sequence[KeyValue] | int]
"""Subject, last_gc_version, from_version_excluded, and key-values, or the version of a SetMaxVersion."""


@dataclass
class Telling:
    """An engine that is told messages, a millisecond apart unless said otherwise."""

    settings: Settings | None = None
    now: int = START
    frame: int = 0
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.settings)

    def wait(self, milliseconds: int) -> None:
        """Let time go by."""
        self.now += milliseconds * MS

    def syn(self, sender: Who, to: Who, said: Said, cluster_id: str = "c", source: str = "") -> None:
        """A Syn."""
        self.feed(Syn(cluster_id=cluster_id, digest=digest(said)), source or sender.address, to.address)

    def syn_ack(self, sender: Who, to: Who, said: Said, *sections: Section, source: str = "") -> None:
        """A SynAck."""
        self.feed(SynAck(digest=digest(said), delta=delta(sections)), source or sender.address, to.address)

    def ack(self, sender: Who, to: Who, *sections: Section) -> None:
        """An Ack."""
        self.feed(Ack(delta=delta(sections)), sender.address, to.address)

    def bad_cluster(self, sender: Who, to: Who) -> None:
        """A BadCluster."""
        self.feed(BadCluster(), sender.address, to.address)

    def feed(self, record: Message, source: str, destination: str) -> None:
        """A message as it would be captured."""
        self.take(self.captured(record, source, destination))

    def take(self, message: CapturedMessage) -> None:
        """Feed it to the engine."""
        self.events += self.cluster.feed(message)

    def captured(self, record: Message, source: str, destination: str) -> CapturedMessage:
        """The message that comes next."""
        self.now += MS
        self.frame += 1
        ip, _, port = source.rpartition(":")
        to_ip, _, to_port = destination.rpartition(":")
        datagram = Datagram(self.frame, self.now, 9, ip, int(port), to_ip, int(to_port), encode(record), False)
        return CapturedMessage(datagram)

    def kinds(self) -> list[str]:
        """The kinds of all events, in order."""
        return [event.event for event in self.events]

    def of(self, kind: str) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if event.event == kind]

    def replica(self, observer: Who, subject: Who) -> ReplicaState:
        """What an observer holds of a subject now."""
        (found,) = (
            replica
            for state in self.cluster.at()
            for each in state.observers
            if (each.node_id, each.generation_id) == (observer.node_id, observer.generation)
            for replica in each.replicas
            if (replica.node_id, replica.generation_id) == (subject.node_id, subject.generation)
        )
        return found

    def keys(self, observer: Who, subject: Who) -> dict[str, tuple[str, int, bool]]:
        """Value, version and whether it is certain, by key."""
        held = self.replica(observer, subject).key_values
        return {key: (each.value, each.version, each.certain) for key, each in held.items()}


def digest(said: Said) -> tuple[NodeDigest, ...]:
    """The entries of a digest."""
    return tuple(NodeDigest(*who.identity(), *numbers) for who, numbers in said.items())


def delta(sections: Sequence[Section]) -> tuple[DeltaItem, ...]:
    """The operations of a delta."""
    ops: list[DeltaItem] = []
    for who, gc, start, contents in sections:
        ops.append(NodeOp(*who.identity(), gc, start))
        if isinstance(contents, int):
            ops.append(SetMaxVersionOp(contents))
        else:
            ops += [KeyValueOp(*each) for each in contents]
    return tuple(ops)


def kv(key: str, version: int, value: str = "v", status: Status = "Set") -> KeyValue:
    """A key-value."""
    return key, value, version, status


def introduced(settings: Settings | None = None) -> Telling:
    """Two nodes just started that know each other: A at heartbeat 4, with key k at version 1; B at 3 and empty."""
    told = Telling(settings)
    told.syn(A, B, {A: (2, 0, 1)})
    told.syn_ack(B, A, {A: (2, 0, 0), B: (3, 0, 0)})
    told.ack(A, B, (A, 0, 0, [kv("k", 1)]))
    return told
