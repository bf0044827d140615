# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that answers one protocol version alone is well: the case that makes one so, and the health check."""

from __future__ import annotations

import pytest

from scapy_chitchat.fuzz import STRATEGIES
from scapy_chitchat.fuzz.draw import Draw
from scapy_chitchat.fuzz.target import Target
from scapy_chitchat.net.udp import Line
from scapy_chitchat.node.asking import ask, syn
from tests.support.peers import eventually, running, why_no_peer

NO_PEER = why_no_peer()


@pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)
def test_a_full_node_that_leaves_v0_unanswered_is_not_taken_for_dead() -> None:
    node = {"version": "0.13", "protocol": 1, "node_id": "n", "interval": 60_000, "cluster_id": "c"}
    with running(node) as nodes:
        host, _, port = nodes.address["n"].rpartition(":")
        target = Target((host, int(port)), cluster_id="c", patience=10)
        try:
            target.start()
            target.send(STRATEGIES["room"].make(Draw(1, target.context), 0))
            assert eventually(lambda: sum(len(each["key_values"]) for each in nodes.known("n").values()) >= 60)
            with Line((host, int(port))) as line:
                assert ask(line, syn(1, "c"), 10, lambda data, _: data)
                assert ask(line, syn(0, "c"), 1, lambda data, _: data) is None
            assert target.failure() is None
            assert nodes.ask("n", "state")["panics"] == 0
        finally:
            target.close()
