# SPDX-License-Identifier: GPL-2.0-or-later
"""The recipe for captures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scapy_chitchat import read_messages
from scapy_chitchat.capture import Counters
from tests.record import SCENARIOS, Recording
from tests.support.peers import why_no_peer

NO_PEER = why_no_peer()


@pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)
@pytest.mark.usefixtures("namespaces")
@pytest.mark.skipif(not shutil.which("tcpdump"), reason="there is no tcpdump to record with")
def test_a_mixed_cluster_on_a_wire_is_recorded(tmp_path: Path) -> None:
    path, counters = tmp_path / "mixed.pcap", Counters()
    recording = Recording(SCENARIOS["mixed-fragmented"])
    recording.run(path, 4)
    messages = list(read_messages(path, counters=counters))
    assert {each.message.version for each in messages if each.message} == {0, 1}
    assert all(each.source.startswith("10.77.0.") for each in messages)
    assert counters.reassembled > 3
    states = [event for event in recording.events if event["event"] == "state"]
    assert {node["node_id"] for state in states for node in state["nodes"]} == {f"node-{n}" for n in range(1, 5)}
    starts = {event["generation_id"] for event in recording.events if event["event"] == "start"}
    assert {node["generation_id"] for node in states[0]["nodes"]} == starts
