# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures into real nodes: what they hold afterwards."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import encode, read_messages
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.fuzz import building
from scapy_chitchat.node.members import KeyValue
from scapy_chitchat.node.told import ToldMember
from scapy_chitchat.records.classes import KeyValueOp
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.replay.channels import ToFile, ToNode
from scapy_chitchat.replay.holding import Noting
from scapy_chitchat.replay.messages import Messages, Outgoing, Pace, Tally, play
from scapy_chitchat.replay.rewrite import Rewriting, parse_address_mapping
from tests.replay.targets import HERE, THREE, Node, carried, run
from tests.support import PCAPS
from tests.support.peers import PATIENCE, eventually, unread


class AtTheNodesPace(ToNode):
    """Sends when the node has taken all that came before: a socket without room drops what comes, on a busy machine."""

    def __init__(self, node: Node, tally: Tally) -> None:
        host, _, port = node.address.rpartition(":")
        super().__init__((host, int(port)), tally)
        self._node = node

    def send(self, message: Outgoing) -> None:
        assert eventually(lambda: unread(self._node.address) == 0), "the node takes nothing any more"
        super().send(message)


def replayed(node: Node, capture: Path, **wish: Any) -> Tally:
    """A capture, sent to a node whose cluster is called otherwise."""
    messages = Messages([capture], rewriting=Rewriting(cluster_id="laptop", **wish), pace=Pace(asap=True))
    tally = play(messages, AtTheNodesPace(node, messages.tally), patience=PATIENCE)
    assert not tally.skipped
    return tally


@pytest.mark.parametrize("name", ["v0-three-nodes.pcap", "v1-five-nodes.pcap", "v0-large-fragmented.pcap.gz"])
def test_a_fresh_node_holds_what_the_capture_carried(node: Node, name: str) -> None:
    replayed(node, PCAPS / name, version=0 if node.version == "0.10" else None)
    expected = carried(PCAPS / name)
    eventually(lambda: node.held() == expected)
    assert node.held() == expected


def test_a_node_holds_renamed_members_under_their_new_names(node: Node) -> None:
    addresses = parse_address_mapping(["127.0.0.1=127.1.0.1", "127.0.0.1:9=::1"])
    replayed(node, THREE, new_generation=True, nodes={"node-0": "indexer"}, addresses=addresses)
    expected = carried(THREE)
    expected["indexer", "127.1.0.1:7280"] = expected.pop(("node-0", "127.0.0.1:7280"))
    eventually(lambda: node.held() == expected)
    assert node.held() == expected


def test_a_capture_from_the_middle_is_taken_when_gaps_are_filled(node: Node, tmp_path: Path) -> None:
    whole = list(read_messages(PCAPS / "v0-ipv6.pcap"))
    late = tmp_path / "late.pcapng"
    with CaptureWriter(late) as out:
        for captured in whole[len(whole) // 3 :]:
            out.datagram(HERE, captured.data, captured.datagram.time * 1000)
    expected = carried(late)
    assert any(expected.values())
    tally = replayed(node, late)
    assert tally.unanswered == 0, "so all before the last message has been read"
    assert not any(node.held().values()), "without filling, a node ignores all of it"

    def holds_all() -> bool:
        held = node.held()
        return all(values.items() <= held[identity].items() for identity, values in expected.items())

    replayed(node, late, fill_gaps=True)
    assert eventually(holds_all)


@pytest.mark.long
def test_answers_are_counted_and_shown(peer: Path) -> None:
    node = Node(peer, "0.13")
    try:
        done = run("--to", node.address, "--json", "--rate", "1000", "--cluster-id", "laptop", THREE)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        shown = Counter(each["type"] for each in answers)
        assert set(shown) == {"SynAck", "Ack"}
        assert max(shown.values()) <= 188
        assert answers[0]["source"] == node.address
        said = re.search(r"answered +(\d+) of 376", done.stderr)
        assert said, done.stderr
        assert int(said[1]) == shown.total()
        foreign = run("--to", node.address, "--rate", "1000", "--type", "Syn", THREE)
        assert foreign.returncode == 1
        assert re.search(r"BadCluster +[1-9]", foreign.stdout)
        assert "say its name with --cluster-id" in foreign.stderr
    finally:
        node.close()


def test_what_the_node_does_not_hold_is_told(peer: Path, tmp_path: Path) -> None:
    node = Node(peer, "0.13")
    try:
        options = ("--verify", "--to", node.address, "--asap", "--cluster-id", "laptop")
        done = run(*options, THREE)
        assert (done.returncode, done.stderr) == (0, "")
        late = tmp_path / "late.pcapng"
        with CaptureWriter(late) as out:
            for captured in list(read_messages(PCAPS / "v0-ipv6.pcap"))[20:]:
                out.datagram(HERE, captured.data, captured.datagram.time * 1000)
        done = run(*options, late)
        assert done.returncode == 1
        assert re.search(r"node-\d \(\[::1\]:\d+, \d+\): key-\d is not held, but version \d+ was sent", done.stderr)
        assert "--fill-gaps" in done.stderr
    finally:
        node.close()


def test_differences_are_members_and_keys_that_are_missing_or_older() -> None:
    node = ChitchatId("a", 1, "127.0.0.1:1")
    ops = [KeyValueOp("k", "v", 3, "Set"), KeyValueOp("gone", "", 4, "Delete"), KeyValueOp("new", "", 5, "Set")]
    data = encode(building.syn_ack([building.entry(node)], building.section(node, ops)))
    noting = Noting(ToFile(os.devnull, Rewriting()))
    noting.send(Outgoing(0.0, data, "SynAck", next(iter(read_messages(THREE))).datagram, b""))

    def told(*keys: KeyValue, last_gc_version: int = 0) -> list[str]:
        member = ToldMember("a", "127.0.0.1:1", 1, last_gc_version=last_gc_version, key_values=list(keys))
        return list(noting.differences([member]))

    assert list(noting.differences([])) == ["a (127.0.0.1:1, 1) is not held"]
    held = (KeyValue("k", "v", 3), KeyValue("gone", "", 4, "Delete"), KeyValue("new", "", 5))
    assert told(*held) == []
    assert told(KeyValue("k", "newer", 9), *held[1:]) == []
    assert told(held[0], held[2], last_gc_version=4) == [], "collected"
    assert told(held[0], held[2]) == ["a (127.0.0.1:1, 1): gone is not held, but version 4 was sent"]
    assert told(KeyValue("k", "v", 2), *held[1:]) == [
        "a (127.0.0.1:1, 1): k is held in version 2, but version 3 was sent"
    ]
    assert told(KeyValue("k", "w", 3), *held[1:]) == ["a (127.0.0.1:1, 1): k differs in version 3"]
