"""The engine on captures of real nodes: all is predicted, nothing contradicts, no loss makes a falsehood certain."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from scapy_chitchat import read_messages
from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.cluster import Cluster, ClusterState, Event

pytestmark = pytest.mark.long  # whole captures of real nodes, also cut and shuffled

PCAPS = Path(__file__).parents[2] / "pcaps"
ORDINARY = [
    "v0-gc-resets.pcap.gz",
    "v0-ipv6.pcap",
    "v0-large-fragmented.pcap.gz",
    "v0-three-nodes.pcap",
    "v1-emptied-nodes.pcap.gz",
    "v1-five-nodes.pcap",
]


def played(messages: Sequence[CapturedMessage]) -> tuple[Cluster, list[Event]]:
    """An engine that has heard these messages, and the events."""
    cluster = Cluster()
    events = [event for message in messages for event in cluster.feed(message)]
    return cluster, events + cluster.finish()


def certain(state: ClusterState) -> dict[tuple[str, str, str], tuple[int, int, str]]:
    """Observer, subject and key: the replica's max_version, the key-value's version and value."""
    return {
        (observer.node_id, f"{replica.node_id} {replica.generation_id}", key): (
            replica.max_version,
            kv.version,
            kv.value,
        )
        for observer in state.observers
        for replica in observer.replicas
        if not replica.presumed
        for key, kv in replica.key_values.items()
        if kv.certain
    }


@pytest.mark.parametrize("name", ORDINARY)
def test_every_digest_entry_of_a_whole_capture_is_predicted(name: str) -> None:
    cluster, events = played(list(read_messages(PCAPS / name)))
    (told,) = cluster.estimates()
    assert told.entries > 500
    assert told.predicted == 1
    assert told.not_captured == 0
    assert [event for event in events if event.event in ("contradiction", "contested")] == []


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("missing", [0.05, 0.3])
def test_losses_make_nothing_false_certain(name: str, missing: float) -> None:
    messages = list(read_messages(PCAPS / name))
    (whole,) = played(messages)[0].at()
    drawn = random.Random(7)
    cluster, _ = played([each for each in messages if drawn.random() >= missing])
    (lossy,) = cluster.at(whole.time)
    known = certain(whole)
    shared = 0
    for place, (stands_at, version, value) in certain(lossy).items():
        if place in known and known[place][0] == stands_at:
            assert known[place][1:] == (version, value), place
            shared += 1
    assert shared > 0
    assert lossy.predicted is not None
    assert lossy.predicted < 1, "what is missing shows"


def test_shuffled_doubled_and_cut_streams_are_borne() -> None:
    messages = list(read_messages(PCAPS / "v0-gc-resets.pcap.gz"))[:600]
    drawn = random.Random(3)
    for _ in range(5):
        stream = drawn.sample(messages, 300) + drawn.choices(messages, k=100)
        cluster, _ = played(stream)
        for state in cluster.at():
            assert state.as_json()


def test_feeding_again_holds_no_more() -> None:
    messages = list(read_messages(PCAPS / "v0-three-nodes.pcap"))
    cluster = Cluster()
    held = []
    for turn in range(4):
        for message in messages:
            later = message.datagram.time + turn * 3600 * 10**message.datagram.decimals
            message.datagram = message.datagram._replace(time=later)
            cluster.feed(message)
        (community,) = cluster._communities.values()
        held.append(
            (
                len(cluster._roster),
                sum(len(each.versions) for each in community.histories.values()),
                sum(len(each.numbers) for each in community.observers.values()),
            )
        )
    assert held[1:] == held[:1] * 3


def test_settings_show_in_the_traffic() -> None:
    (told,) = played(list(read_messages(PCAPS / "v0-gc-resets.pcap.gz")))[0].estimates()
    assert told.gossip_interval is not None
    assert told.gossip_interval.seconds == pytest.approx(0.2, rel=0.02)
    assert told.tombstone_grace is not None
    assert told.tombstone_grace.seconds == pytest.approx(2.0, rel=0.02)


def test_asking_changes_nothing() -> None:
    messages = list(read_messages(PCAPS / "v1-five-nodes.pcap"))
    cluster = Cluster()
    for message in messages:
        cluster.feed(message)
        cluster.at()
    (asked,) = cluster.at()
    (unasked,) = played(messages)[0].at()
    assert asked == unasked
