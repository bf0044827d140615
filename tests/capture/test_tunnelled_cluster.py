# SPDX-License-Identifier: GPL-2.0-or-later
"""A real cluster whose gossip travels in a tunnel: read from outside as tcpdump sees it from inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from scapy_chitchat import read_messages
from scapy_chitchat.capture import Counters
from tests.record import OUTER, beside, record
from tests.recording.scenarios import TUNNELLED
from tests.support.namespaces import NoNamespaces
from tests.support.peers import why_no_peer

NO_PEER = why_no_peer()


@pytest.mark.usefixtures("namespaces")
@pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)
@pytest.mark.parametrize("kind", list(TUNNELLED))
def test_outside_of_the_tunnel_is_what_tcpdump_sees_inside(kind: str, tmp_path: Path) -> None:
    capture = tmp_path / "outer.pcap"
    try:
        record(TUNNELLED[kind], capture, 6)
    except NoNamespaces as missing:
        pytest.skip(str(missing))
    counters = Counters()
    outside = list(read_messages(capture, counters=counters))
    inside = list(read_messages(beside(capture, "inside.pcap")))
    assert [(each.source, each.destination, each.data) for each in outside] == [
        (each.source, each.destination, each.data) for each in inside
    ]
    assert len(outside) > 20
    assert counters.reassembled > 0
    ways = {f"{kind} 5001 {one} > {other}" for one, other in (OUTER, OUTER[::-1])}
    assert {each.tunnel for each in outside} == {(way,) for way in ways}
    assert not any(each.tunnel for each in inside)
