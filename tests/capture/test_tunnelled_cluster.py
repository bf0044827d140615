# SPDX-License-Identifier: GPL-2.0-or-later
"""A real cluster whose gossip travels in a tunnel: read or sniffed from outside as tcpdump sees it from inside."""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from scapy_chitchat import read_messages
from scapy_chitchat.capture import CapturedMessage, Counters
from tests.live import sniffing, tcpdump
from tests.record import OUTER, beside, network, record, settled
from tests.recording.recorder import Recorder
from tests.recording.scenarios import TUNNELLED
from tests.support.namespaces import TUNNEL, NoNamespaces
from tests.support.peers import PATIENCE, why_no_peer

pytestmark = pytest.mark.long  # real nodes in a tunnel for seconds

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
    assert _each_way(map(_told, outside)) == _each_way(map(_told, inside))
    assert len(outside) > 20
    assert counters.reassembled > 0
    ways = {f"{kind} 5001 {one} > {other}" for one, other in (OUTER, OUTER[::-1])}
    assert {each.tunnel for each in outside} == {(way,) for way in ways}
    assert not any(each.tunnel for each in inside)


@pytest.mark.usefixtures("namespaces")
@pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)
@pytest.mark.parametrize("kind", list(TUNNELLED))
def test_sniffed_outside_of_the_tunnel_is_what_tcpdump_sees_inside(kind: str, tmp_path: Path) -> None:
    ours, inside = tmp_path / "ours.jsonl", tmp_path / "inside.pcap"
    try:
        _watch_both_sides(kind, ours, inside)
    except NoNamespaces as missing:
        pytest.skip(str(missing))
    sniffed = [json.loads(line) for line in ours.read_text().splitlines()]
    expected = list(read_messages(inside))
    assert len(expected) > 20
    assert max(len(each.data) for each in expected) > 1500
    assert _each_way(sniffed) == _each_way(map(_told, expected))
    ways = {f"{kind} 5001 {one} > {other}" for one, other in (OUTER, OUTER[::-1])}
    assert {way for each in sniffed for way in each["tunnel"]} == ways


def _watch_both_sides(kind: str, ours: Path, inside: Path) -> None:
    """Run the cluster with ``sniff --tunnels`` at the outer device of an end, and tcpdump at its inner one."""
    scenario = TUNNELLED[kind]
    with network(scenario) as (ends, interface), ours.open("wb") as output:
        arguments = ("-i", interface, "--tunnels", "--json")
        with sniffing(*arguments, within=ends[0], output=output) as sniffer:
            with tcpdump(TUNNEL, inside, ends[0]):
                recorder = Recorder(scenario, ends)
                try:
                    recorder.run(6)
                finally:
                    recorder.stop()
                settled([inside])
            sniffer.send_signal(signal.SIGTERM)
            _, said = sniffer.communicate(timeout=PATIENCE)
        assert sniffer.returncode == 0, said
        assert said == ""


def _told(captured: CapturedMessage) -> dict[str, object]:
    told: dict[str, object] = json.loads(captured.as_json())
    return told


def _each_way(messages: Iterable[dict[str, object]]) -> dict[tuple[object, object], list[dict[str, object]]]:
    """All that messages say, in order, for each sender and receiver; but for where and when they were captured."""
    ways: dict[tuple[object, object], list[dict[str, object]]] = defaultdict(list)
    for each in messages:
        said = {name: value for name, value in each.items() if name not in ("frame", "time", "tunnel")}
        ways[each["source"], each["destination"]].append(said)
    return ways
