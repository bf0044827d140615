# SPDX-License-Identifier: GPL-2.0-or-later
"""The answering machine: real nodes list its members, and nothing that comes ends it."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.l2 import CookedLinux, Ether
from scapy.packet import Packet, Raw
from scapy.supersocket import SuperSocket

from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatBadCluster,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    decode,
)
from scapy_chitchat.integration.answering import ChitchatNode_am, GossipSocket
from scapy_chitchat.records import classes
from tests.node.test_peer import needs_peer, needs_root
from tests.support.peers import PATIENCE, eventually, free_port, running
from tests.support.typed import of_type


def ghosts(address: str = "127.0.0.1:7280", size: int = 1) -> dict[str, Any]:
    """A made-up cluster of three, as JSON has it."""
    return {
        "cluster_id": "test",
        "members": [
            {
                "node_id": f"ghost-{number}",
                "gossip_advertise_addr": address,
                "generation_id": 7,
                "key_values": {"first": os.urandom(size).hex()[:size], "second": str(number)},
            }
            for number in range(3)
        ],
    }


@contextmanager
def answering(machine: ChitchatNode_am) -> Iterator[None]:
    sniffer = machine.bg()
    assert eventually(lambda: getattr(sniffer, "stop_cb", None) is not None)
    try:
        yield
    finally:
        sniffer.stop()


def lists_the_ghosts(address: str, **node: Any) -> None:
    """Whether a real node that has the machine as its seed lists its members, alive and with their keys."""
    listen = f"{address.rpartition(':')[0]}:0"
    with running({"version": "0.13", "node_id": "real", "listen": listen, "seeds": [address], **node}) as nodes:
        expected = {"real", "ghost-0", "ghost-1", "ghost-2"}
        assert eventually(lambda: {each["node_id"] for each in nodes.ask("real", "state")["live"]} == expected)
        known = nodes.known("real")
        assert [each["value"] for each in known["ghost-2"]["key_values"]][1] == "2"
        assert known["ghost-1"]["generation_id"] == 7


@needs_peer
@pytest.mark.parametrize(
    ("version", "protocol", "host"),
    [("0.13", 1, "127.0.0.1"), ("0.13", 0, "127.0.0.1"), ("0.10", 0, "127.0.0.1"), ("0.13", 1, "[::1]")],
)
def test_a_real_node_lists_made_up_members_without_root(version: str, protocol: int, host: str) -> None:
    with GossipSocket(f"{host}:0") as opened:
        listening: Any = opened
        address = f"{host}:{listening.ins.getsockname()[1]}"
        described = json.dumps(ghosts(address, 1000))
        with answering(ChitchatNode_am(cluster=described, opened_socket=listening, verbose=False)):
            lists_the_ghosts(address, version=version, protocol=protocol)


@needs_peer
@needs_root
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_real_node_lists_made_up_members_past_the_kernel(host: str) -> None:
    address = f"{host}:{free_port(host.strip('[]'))}"
    described = ghosts(address, 3000)  # which goes out in fragments
    with answering(ChitchatNode_am(cluster=described, iface="lo", verbose=False)):
        lists_the_ghosts(address)


def test_a_made_up_cluster_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(ghosts()))
    assert ChitchatNode_am(cluster=path).cluster.members[2].keys[1].value == "2"
    with pytest.raises(ValueError, match="cluster_id"):
        ChitchatNode_am(cluster="{}")


def machine_and_syn(**fields: Any) -> tuple[ChitchatNode_am, Any]:
    machine = ChitchatNode_am(cluster=ghosts(), verbose=False)
    return machine, IP(src="127.0.0.9") / UDP(dport=7280) / Chitchat() / ChitchatSyn(**fields)


def test_an_answer_has_what_the_asker_lacks() -> None:
    known = [NodeDigest(node_id=f"ghost-{number}", generation_id=7, max_version=number) for number in range(3)]
    machine, request = machine_and_syn(cluster_id="test", digest=known)
    reply = machine.make_reply(request)
    assert (reply[UDP].dport, reply.dst) == (request[UDP].sport, "127.0.0.9")
    sections = [(op.node_id, op.from_version_excluded) for op in reply[ChitchatSynAck].delta if isinstance(op, NodeOp)]
    assert sections == [("ghost-0", 0), ("ghost-1", 1)]
    keys = [op.key for op in reply[ChitchatSynAck].delta if isinstance(op, KeyValueOp)]
    assert keys == ["first", "second", "second"]
    heartbeats = [entry.heartbeat for entry in reply[ChitchatSynAck].digest]
    again = [entry.heartbeat for entry in machine.make_reply(request)[ChitchatSynAck].digest]
    assert again == [each + 1 for each in heartbeats]


def delta_for(known: NodeDigest, **member: Any) -> list[str]:
    """What a made-up member's section of an answer is, for somebody who knows it as far as this."""
    described = {"node_id": "n", "gossip_advertise_addr": "127.0.0.1:7280", **member}
    machine = ChitchatNode_am(cluster={"cluster_id": "c", "members": [described]})
    request = IP() / UDP(dport=7280) / Chitchat() / ChitchatSyn(cluster_id="c", digest=[known])
    return [op.command() for op in machine.make_reply(request)[ChitchatSynAck].delta]


def test_who_missed_what_was_collected_is_told_to_start_over() -> None:
    (node, key) = delta_for(
        NodeDigest(node_id="n", generation_id=1, max_version=3),
        last_gc_version=5,
        key_values=[{"key": "k", "value": "v", "version": 9}],
    )
    assert "last_gc_version=5, from_version_excluded=0" in node
    assert "version=9" in key


def test_a_member_without_keys_tells_its_max_version() -> None:
    (_, op) = delta_for(NodeDigest(node_id="n", generation_id=1, max_version=3), max_version=7)
    assert op.startswith("SetMaxVersionOp(")
    assert "max_version=7" in op
    assert delta_for(NodeDigest(node_id="n", generation_id=1, max_version=7), max_version=7) == []


def test_another_cluster_is_answered_with_bad_cluster() -> None:
    machine, request = machine_and_syn(cluster_id="other")
    assert ChitchatBadCluster in machine.make_reply(request)


def test_only_syns_to_a_member_and_from_this_machine_are_answered() -> None:
    machine, request = machine_and_syn(cluster_id="test")
    assert machine.is_request(request)
    for change in ({"dst": "127.0.0.5"}, {"src": "192.0.2.1"}):
        ends = {"src": "127.0.0.9", "dst": "127.0.0.1", **change}
        other = IP(src=ends["src"], dst=ends["dst"]) / request[UDP].copy()
        assert not machine.is_request(other)
    assert not machine.is_request(IP() / UDP(dport=7280) / Chitchat() / ChitchatAck())
    remote = ChitchatNode_am(cluster=ghosts(), allow_remote=True)
    assert remote.is_request(IP(src="192.0.2.1", dst="127.0.0.1") / request[UDP].copy())


def test_the_machine_survives_what_it_cannot_answer(caplog: pytest.LogCaptureFixture) -> None:
    """A sender without a port, and what takes long to look at; then somebody else gets an answer."""
    caplog.set_level(logging.WARNING, logger="scapy")  # which a command's test may have hushed
    bomb = syn_of_many_members(400_000)
    assert len(bomb) < 65_507
    with GossipSocket("127.0.0.1:0") as opened:
        listening: Any = opened
        machine = ChitchatNode_am(cluster=ghosts(), opened_socket=listening, verbose=False)
        machine.reply(IP(src="127.0.0.9", dst="127.0.0.1") / UDP(sport=0, dport=7280) / Raw(SYN))
        assert "no answer to 127.0.0.9:0" in caplog.text
        with answering(machine), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(listening.ins.getsockname())
            for data in (bomb, b"\x53\xb0", b"", SYN):
                asking.send(data)
            asking.settimeout(PATIENCE)
            assert of_type(classes.SynAck, decode(asking.recv(65536))).digest


def test_what_comes_is_not_taken_apart_into_layers() -> None:
    """Which takes 20 s for 65 KB."""
    with GossipSocket("127.0.0.1:0") as opened, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        listening: Any = opened
        asking.sendto(SYN, listening.ins.getsockname())
        received = listening.recv()
    session: Any = ChitchatNode_am.sniff_options["session"]
    given = session().process(received)
    assert given is not None
    assert Chitchat not in received
    assert Chitchat not in given
    assert bytes(given[UDP].payload) == SYN


class Frames(SuperSocket):
    """An interface on which these packets come, one by one."""

    def __init__(self, *packets: Packet) -> None:
        self.packets = list(packets)

    def recv_raw(self, x: int = 65535) -> Any:
        """As sockets of Scapy give them."""
        packet = self.packets.pop(0)
        return type(packet), bytes(packet), None


def test_what_comes_on_an_interface_is_not_taken_apart_into_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("dissected")

    message = IP() / UDP(sport=7280, dport=7280) / Raw(SYN)
    pieces = fragment(message, 16)  # type: ignore[no-untyped-call]
    frames = Frames(Ether() / message, CookedLinux() / message, message, *pieces)
    session: Any = ChitchatNode_am.sniff_options["session"]
    listening = session()
    monkeypatch.setattr(Chitchat, "do_dissect", refuse)
    given = [packet for _ in list(frames.packets) for packet in listening.recv(frames)]
    assert [bytes(packet[UDP].payload) for packet in given] == [SYN] * 4
    assert all(abs(float(packet.time) - time.time()) < 60 for packet in given)


SYN = bytes(Chitchat() / ChitchatSyn(cluster_id="test"))


def syn_of_many_members(count: int) -> bytes:
    """A Syn whose digest is the same short entry so many times, compressed into one block after the other."""
    entry = bytes(NodeDigest(node_id="", ip="127.0.0.1", port=9))
    per_block = 65535 // len(entry)
    packed = zstandard.ZstdCompressor(level=19).compress(entry * per_block)
    blocks = [Block(type=1, data=packed)] * (count // per_block) + [Block(type=0)]
    return bytes(Chitchat(version=1) / ChitchatSyn(cluster_id="test", digest_blocks=blocks))


def test_an_answer_ends_where_a_datagram_does() -> None:
    many = ghosts()
    many["members"] = [
        {"node_id": f"g{n}", "gossip_advertise_addr": "127.0.0.1:7280", "key_values": {"k": os.urandom(4000).hex()}}
        for n in range(20)
    ]
    machine = ChitchatNode_am(cluster=many)
    reply = machine.make_reply(IP() / UDP(dport=7280) / Chitchat() / ChitchatSyn(cluster_id="test"))
    assert len(reply[ChitchatSynAck].digest) == 20
    assert len(bytes(reply[Chitchat])) <= 65507
    assert sum(isinstance(op, KeyValueOp) for op in reply[ChitchatSynAck].delta) == 8
