# SPDX-License-Identifier: GPL-2.0-or-later
"""Our decoder and encoder against those of real nodes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from scapy_chitchat import (
    Chitchat,
    ChitchatAck,
    ChitchatBadCluster,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    decode,
    encode,
)
from scapy_chitchat.wire.protocol import MAX_DATAGRAM
from tests.differential import compare_seeds
from tests.support import debug_text
from tests.support.peers import Oracle, why_no_peer

NO_PEER = why_no_peer()
pytestmark = [
    pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER),
    pytest.mark.long,  # tens of thousands of messages, each put before real nodes
]

SEEDS = (1, 2)
COUNT = 100_000 if "CI" in os.environ else 10_000
LARGEST = 2**64 - 1


def test_hostile_messages_get_a_nodes_verdict_and_values() -> None:
    tally = compare_seeds(SEEDS, COUNT // len(SEEDS))
    assert tally.differences == []
    assert tally.inputs == COUNT
    assert tally.compared["0.13"] > COUNT * 0.99
    assert tally.compared["0.11"] > COUNT / 2
    assert tally.outcomes["taken"] > COUNT / 3
    assert len(tally.outcomes) > 15
    assert tally.reencoded["0.13"] > COUNT / 4


class Writer:
    """Makes messages as a node writes them, of all sizes and values."""

    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)

    def messages(self, version: int) -> Iterator[Any]:
        while True:
            entries = self.digest(self.choice.choice((0, 1, 2, 5, 60, 500)))
            sections = self.delta(self.choice.choice((0, 1, 2, 5, 30)))
            body = self.choice.choice(
                (
                    ChitchatSyn(cluster_id=self.text(), digest=entries),
                    ChitchatSynAck(digest=entries, delta=sections),
                    ChitchatAck(delta=sections),
                    ChitchatBadCluster(),
                )
            )
            yield Chitchat(version=version) / body

    def text(self, longest: int = 30) -> str:
        letters = self.choice.choice(("abc", "az09.-_:", 'é"\\\n\t\0', "日本語", "\U0001f980\u0301\u200b\x7f", "x"))
        return "".join(self.choice.choices(letters, k=self.choice.randrange(longest)))

    def number(self) -> int:
        return self.choice.choice((0, 1, self.choice.randrange(1000), self.choice.getrandbits(64), LARGEST))

    def identity(self) -> dict[str, Any]:
        random_ipv6 = ":".join(f"{self.choice.randrange(1, 65536):x}" for _ in range(8))
        ip = self.choice.choice(("127.0.0.1", "255.255.255.255", "::1", "::ffff:1.2.3.4", "fe80::", random_ipv6))
        return {"node_id": self.text(), "generation_id": self.number(), "ip": ip, "port": self.choice.randrange(65536)}

    def digest(self, size: int) -> list[Any]:
        entries = [NodeDigest(node_id=f"{n:05} {self.text()}", heartbeat=self.number()) for n in range(size)]
        for entry in entries:
            entry.last_gc_version, entry.max_version = self.number(), self.number()
            entry.ip = self.identity()["ip"]
        return entries

    def delta(self, size: int) -> list[Any]:
        sections: list[Any] = []
        for number in range(size):
            identity = {**self.identity(), "generation_id": number}
            sections.append(NodeOp(**identity, last_gc_version=self.number(), from_version_excluded=self.number()))
            keys = self.choice.choice((0, 0, 1, 3, 20))
            versions = sorted(self.choice.sample(range(1, 10**6), keys))
            for version in versions:
                value = self.text(self.choice.choice((2, 50, 3000)))
                status = self.choice.choice(("Set", "Delete", "DeleteAfterTtl"))
                sections.append(KeyValueOp(key=self.text(), value=value, version=version, status=status))
            if not keys and self.choice.random() < 0.7:
                sections.append(SetMaxVersionOp(max_version=self.choice.randrange(1, LARGEST)))
        return sections


@pytest.mark.parametrize(
    ("node", "version"),
    [("0.13", 0), ("0.13", 1), ("0.11", 0), ("0.10", 0)],
    ids=["0.13 V0", "0.13 V1", "0.11", "0.10"],
)
def test_what_we_build_is_read_as_meant_and_written_alike(node: str, version: int) -> None:
    packets = list(islice(Writer(1).messages(version), 100))
    built = [bytes(packet) for packet in packets]
    assert max(map(len, built)) > 30_000
    with Oracle(node, reencode=True) as oracle:
        answers = oracle.ask(built)
    assert sum(answer.get("asked", True) for answer in answers) > 80  # what does not fit into a datagram is not asked
    for packet, data, answer in zip(packets, built, answers, strict=True):
        if len(data) > MAX_DATAGRAM:
            continue
        assert answer["ok"], (packet.command(), answer)
        text = answer["debug"] if node == "0.13" else f"ChitchatEnvelope {{ version: V0, message: {answer['debug']} }}"
        message = decode(data)
        assert debug_text.parse(text) == debug_text.as_a_node_keeps_it(message.as_dict())
        assert as_meant(packet) == [each for each in message.as_dict().get("delta", []) if each["op"] == "KeyValue"]
        assert answer["hex"] == data.hex() == encode(message).hex()


def as_meant(packet: Any) -> list[dict[str, Any]]:
    """The key-values that a packet was made with, as in JSON."""
    meant = []
    whose: dict[str, Any] = {}
    for op in getattr(packet.payload, "delta", None) or []:
        if isinstance(op, NodeOp):
            whose = {"node_id": op.node_id, "generation_id": op.generation_id}
        elif isinstance(op, KeyValueOp):
            own = {"op": "KeyValue", "key": op.key, "value": op.value, "version": op.version}
            meant.append({**own, "status": shown_status(op), **whose})
    return meant


def shown_status(op: Any) -> str:
    return str(op.get_field("status").i2repr(op, op.status))
