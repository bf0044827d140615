# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a cluster at a time: typed, and as the JSON object of ``state --json``.

Times inside are nanoseconds since the epoch, in JSON seconds. Each value is certain (stated by the node, or it
follows),
presumed (it was delivered, but nothing proves yet that it was read) or unknown.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from scapy_chitchat.cluster.events import Json, encode_json, seconds


class KeyValueState(msgspec.Struct, frozen=True, gc=False):
    """A key-value that a replica holds; a deleted one is there until it is collected."""

    value: str
    version: int
    status: str
    """``Set``, ``Delete`` or ``DeleteAfterTtl``."""
    since: int | None
    """When it was first seen in this capture; nanoseconds."""
    certain: bool
    """Whether it is certain that the replica holds it at its max_version: nothing unknown may have replaced it."""


class ReplicaState(msgspec.Struct, frozen=True, gc=False):
    """An observer's copy of a subject."""

    node_id: str
    generation_id: int
    gossip_advertise_addr: str
    heartbeat: int
    last_gc_version: int
    max_version: int
    alive: bool | None
    """The observer's verdict when it last judged; None where it cannot be told."""
    phi: float | None
    """As it is at the state's time; None where it cannot be told."""
    key_values: dict[str, KeyValueState]
    unknown_versions: list[tuple[int, int]]
    """Ranges (after, up to] of versions whose key-values the replica may hold although nobody sent them here."""
    presumed: bool
    """Whether the numbers rest on a message that is not proven read, or the observer has stopped naming the subject:
    then it
    may have let it go."""
    in_digest: bool
    """Whether the observer still names the subject in its digests."""


class ObserverState(msgspec.Struct, frozen=True, gc=False):
    """A node that tells, and all its replicas, its own run among them."""

    node_id: str
    generation_id: int
    gossip_advertise_addr: str
    replicas: list[ReplicaState]


class NodeState(msgspec.Struct, frozen=True, gc=False):
    """A run as it knows itself; where it never spoke here, as the best of its observers knows it."""

    node_id: str
    generation_id: int
    gossip_advertise_addr: str
    run: Literal["current", "earlier"]
    heartbeat: int
    last_gc_version: int
    max_version: int
    complete: bool
    """Whether all its key-values are known."""
    key_values: dict[str, KeyValueState]
    first_seen: int
    last_seen: int
    """When it was last named or heard; nanoseconds."""
    last_spoke: int | None
    """When it last sent a message; None where it never did."""
    heartbeat_rate: float | None
    """By how much its heartbeat rose in a second, from its first statement here to its last: rounds, and messages read.
    None where it stated nothing twice."""
    stuck: bool
    """Whether sections about it go out empty: its next key-value fits no datagram."""
    rules: str | None
    """The oldest version that does as its behaviour has shown; None: nothing told the versions apart."""


class ClusterState(msgspec.Struct, frozen=True, gc=False):
    """All that is known of one cluster."""

    cluster_id: str | None
    time: int
    decimals: int
    messages: int
    predicted: float | None
    """The share of the digest entries about others that were predicted exactly; None where there was none to
    predict."""
    nodes: list[NodeState]
    observers: list[ObserverState]

    def as_dict(self) -> dict[str, Json]:
        """The object of ``state --json``; times are decimal numbers."""
        return {
            "cluster_id": self.cluster_id,
            "time": seconds(self.time, self.decimals),
            "messages": self.messages,
            "predicted": self.predicted,
            "nodes": [self._node(node) for node in self.nodes],
            "observers": [
                {**_identity(each), "replicas": [self._replica(replica) for replica in each.replicas]}
                for each in self.observers
            ],
        }

    def as_json(self) -> bytes:
        """The same as bytes."""
        return encode_json(self.as_dict())

    def _time(self, time: int | None) -> Json:
        return None if time is None else seconds(time, self.decimals)

    def _key_values(self, key_values: dict[str, KeyValueState]) -> Json:
        return {
            key: {
                "value": each.value,
                "version": each.version,
                "status": each.status,
                "since": self._time(each.since),
                "certain": each.certain,
            }
            for key, each in key_values.items()
        }

    def _node(self, node: NodeState) -> Json:
        return {
            **_identity(node),
            "run": node.run,
            **_numbers(node),
            "complete": node.complete,
            "key_values": self._key_values(node.key_values),
            "first_seen": self._time(node.first_seen),
            "last_seen": self._time(node.last_seen),
            "last_spoke": self._time(node.last_spoke),
            "heartbeat_rate": node.heartbeat_rate,
            "stuck": node.stuck,
            "rules": node.rules,
        }

    def _replica(self, replica: ReplicaState) -> Json:
        said: dict[str, Json] = {
            **_identity(replica),
            **_numbers(replica),
            "alive": replica.alive,
            "phi": replica.phi,
            "in_digest": replica.in_digest,
            "key_values": self._key_values(replica.key_values),
            "unknown_versions": [list(each) for each in replica.unknown_versions],
        }
        return {**said, "presumed": True} if replica.presumed else said


def _identity(part: NodeState | ReplicaState | ObserverState) -> dict[str, Json]:
    return {
        "node_id": part.node_id,
        "generation_id": part.generation_id,
        "gossip_advertise_addr": part.gossip_advertise_addr,
    }


def _numbers(part: NodeState | ReplicaState) -> dict[str, Json]:
    return {
        "heartbeat": part.heartbeat,
        "last_gc_version": part.last_gc_version,
        "max_version": part.max_version,
    }
