# SPDX-License-Identifier: GPL-2.0-or-later
"""Talking to real nodes: probing them, answering them, and having them take what we built."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
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
from scapy_chitchat.net.targets import TargetError, split_target
from scapy_chitchat.node.members import KeyValue, Member, Membership
from scapy_chitchat.node.probe import BadClusterError, NoAnswerError, NotChitchatError, ProbeError, probe
from scapy_chitchat.records import classes
from tests.support.peers import PATIENCE, RunningNodes, eventually, free_port, running, why_no_peer
from tests.support.typed import decoded, of_type

COMMAND = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()"]

NO_PEER = why_no_peer()
needs_peer = pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="packets past the kernel's UDP need root")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


# --- probe ---


@pytest.fixture(scope="module")
def nodes() -> Iterator[RunningNodes]:
    """One node of each version, IPv4 and IPv6, each a cluster of its own."""
    one_of_each = [
        {"version": version, "node_id": f"{version} {host}", "listen": f"{host}:0", "keys": {"k": version}}
        for version in ("0.9", "0.10", "0.11", "0.13")
        for host in ("127.0.0.1", "[::1]")
    ]
    with running(*one_of_each) as started:
        yield started


@needs_peer
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize(
    ("version", "protocol", "answered_in"),
    [("0.9", None, 0), ("0.10", None, 0), ("0.11", 0, 0), ("0.13", None, 1), ("0.13", 0, 0), ("0.13", 1, 1)],
)
def test_a_probe_tells_members_and_keys(
    nodes: RunningNodes, host: str, version: str, protocol: int | None, answered_in: int
) -> None:
    name = f"{version} {host}"
    answer = probe(nodes.address[name], "test", version=protocol)
    assert answer.version == answered_in
    (member,) = answer.cluster.members
    known = nodes.known(name)[name]
    for key in ("node_id", "generation_id", "gossip_advertise_addr", "max_version", "last_gc_version"):
        assert getattr(member, key) == known[key]
    assert [(each.key, each.value, each.version, each.status) for each in member.keys] == [("k", version, 1, "Set")]
    assert answer.is_complete
    assert answer.answers == 1


@needs_peer
def test_a_probe_leaves_a_cluster_as_it_was() -> None:
    keys = {"a": "1", "b": "2"}
    with running(
        {"version": "0.13", "node_id": "one", "keys": keys, "interval": 60_000},
        {"version": "0.10", "node_id": "two", "keys": keys, "interval": 60_000},
    ) as nodes:
        assert nodes.ask("one", "gossip", peer=nodes.address["two"])["ok"]
        assert eventually(lambda: know_each_other_and_are_quiet(nodes))
        before = views(nodes)
        for name in ("one", "two"):
            assert {each.node_id for each in probe(nodes.address[name], "test").cluster.members} == {"one", "two"}
        time.sleep(0.3)
        assert views(nodes) == before


def know_each_other_and_are_quiet(nodes: RunningNodes) -> bool:
    """Whether two nodes hold each other's keys, and nothing is under way any more."""
    before = views(nodes)
    time.sleep(0.5)
    keys = [len(entry["key_values"]) for state in before for entry in state["nodes"]]
    return keys == [2] * 4 and views(nodes) == before


def views(nodes: RunningNodes) -> list[dict[str, Any]]:
    """All that each knows, but for its own heartbeat: that rises with each message that it receives."""
    states = [nodes.ask(name, "state") for name in ("one", "two")]
    for state in states:
        for entry in state["nodes"]:
            if entry["node_id"] == state["node"]:
                del entry["heartbeat"]
    return states


@needs_peer
def test_a_wrong_cluster_is_explained(nodes: RunningNodes) -> None:
    with pytest.raises(BadClusterError, match="another cluster than 'other'"):
        probe(nodes.address["0.13 127.0.0.1"], "other")


@needs_peer
def test_a_version_that_a_node_does_not_know_gets_no_answer(nodes: RunningNodes) -> None:
    with pytest.raises(NoAnswerError, match="only V0"):
        probe(nodes.address["0.11 127.0.0.1"], "test", version=1, timeout=0.1, tries=2)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_nobody_there_is_said_at_once(host: str) -> None:
    target = f"[{host}]:{free_port(host)}" if ":" in host else f"{host}:{free_port(host)}"
    started = time.monotonic()
    with pytest.raises(NoAnswerError, match="nobody listens"):
        probe(target, "test", timeout=PATIENCE, tries=1)
    assert time.monotonic() - started < PATIENCE, "an answer was waited for"


@contextmanager
def peer_that_answers(*answers: bytes | None, host: str = "127.0.0.1") -> Iterator[str]:
    """Something at an address that gives these answers, one after the other; to None it keeps silent."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((host, 0))

        def serve() -> None:
            for answer in answers:
                try:
                    _, asker = made.recvfrom(65535)
                except OSError:
                    return
                if answer is not None:
                    made.sendto(answer, asker)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{host}:{made.getsockname()[1]}"


def syn_ack(version: int = 1, max_version: int = 0) -> bytes:
    digest = [NodeDigest(node_id="n", max_version=max_version)]
    return bytes(Chitchat(version=version) / ChitchatSynAck(digest=digest))


def test_garbage_is_no_answer() -> None:
    with peer_that_answers(b"what?", b"\x53\xb0\0\1") as target, pytest.raises(NotChitchatError, match="field-short"):
        probe(target, "test", timeout=0.5, tries=2)
    with (
        peer_that_answers(bytes(Chitchat() / ChitchatAck())) as target,
        pytest.raises(NotChitchatError, match="it sent Ack"),
    ):
        probe(target, "test", timeout=0.5, tries=1)


def test_silence_is_asked_again() -> None:
    with peer_that_answers(None, None, syn_ack(version=0)) as target:
        answer = probe(target, "test", version=0, timeout=0.1, tries=100)
    assert [each.node_id for each in answer.members] == ["n"]
    with peer_that_answers(None, None) as target, pytest.raises(NoAnswerError, match="to 2 Syn of V0 or V1"):
        probe(target, "test", timeout=0.1, tries=2)


def test_garbage_before_an_answer_does_not_hide_it() -> None:
    with peer_that_answers(b"what?", syn_ack()) as target:
        assert probe(target, "test", timeout=0.1, tries=100).version == 1


def test_what_a_node_does_not_tell_is_said() -> None:
    with peer_that_answers(syn_ack(max_version=1)) as target:
        answer = probe(target, "test", timeout=0.05)
    assert not answer.is_complete
    assert answer.trouble == "it stopped answering"
    assert [(each.node_id, each.told_up_to, each.max_version, each.complete) for each in answer.members] == [
        ("n", 0, 1, False)
    ]


@pytest.mark.parametrize(
    "target", ["192.0.2.1:7280", "[2001:db8::1]:7280", "[::ffff:192.0.2.1]:7280", "255.255.255.255:1", "224.0.0.1:1"]
)
def test_other_machines_are_not_asked_unless_that_is_allowed(target: str) -> None:
    with pytest.raises(TargetError, match="--allow-remote"):
        probe(target, "test", timeout=0.01, tries=1)


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ({"gossip_advertise_addr": "nonsense"}, "is no IP address with a port"),
        ({"heartbeat": -1}, "NodeDigest.heartbeat: -1 does not fit 64 bits"),
        ({"key_values": [{"key": "k" * 65536, "value": ""}]}, "KeyValueOp.key: 65,536 bytes"),
        ({"key_values": [{"key": "a", "value": "", "version": 3}] * 2}, "two keys of 'n' have the same version"),
        ({"key_values": 5}, "Expected"),
    ],
)
def test_a_member_that_no_message_can_hold_is_refused(member: dict[str, Any], why: str) -> None:
    described = {"cluster_id": "c", "members": [{"node_id": "n", "gossip_advertise_addr": "127.0.0.1:1", **member}]}
    with pytest.raises(ValueError, match=re.escape(why)):
        Membership.from_json(json.dumps(described))


def test_keys_without_versions_take_the_next_ones() -> None:
    keys = [KeyValue("a", "", 3), KeyValue("b", "", 2), KeyValue("c", "")]
    member = Member("n", "127.0.0.1:1", heartbeat=2**64 - 1, key_values=keys)
    assert [each.version for each in member.keys] == [3, 2, 4]
    machine = ChitchatNode_am(cluster=Membership("c", [member]))
    request = IP(src="127.0.0.1", dst="127.0.0.1") / UDP(sport=1, dport=1) / Chitchat() / ChitchatSyn(cluster_id="c")
    reply = decoded(classes.SynAck, bytes(machine.make_reply(request)[Chitchat]))
    assert reply.digest[0].heartbeat == 2**64 - 1
    assert [op.version for op in reply.delta if isinstance(op, classes.KeyValueOp)] == [2, 3, 4]


def test_a_name_is_as_remote_as_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["127.0.0.1", "192.0.2.7"]

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (ip, port)) for ip in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(TargetError, match=r"192\.0\.2\.7 is not on this machine"):
        probe("both.example:7280", "test")
    addresses.pop()
    with pytest.raises(NoAnswerError):
        probe(f"both.example:{free_port()}", "test", timeout=0.1)


@pytest.mark.parametrize(
    ("target", "split"),
    [
        ("indexer-0:7281", ("indexer-0", 7281)),
        ("indexer-0", ("indexer-0", 7280)),
        ("[::1]:7281", ("::1", 7281)),
        ("[::1]", ("::1", 7280)),
        ("::1", ("::1", 7280)),
    ],
)
def test_a_target_is_host_and_port(target: str, split: tuple[str, int]) -> None:
    assert split_target(target, 7280) == split


@pytest.mark.parametrize("target", ["", ":7280", "host:0", "host:70000", "host:port"])
def test_what_is_no_target_is_said(target: str) -> None:
    with pytest.raises(TargetError):
        split_target(target, 7280)


def test_a_name_without_an_address_is_said() -> None:
    with pytest.raises(ProbeError, match=r"nowhere\.invalid"):
        probe("nowhere.invalid:7280", "test")


@pytest.mark.long
@needs_peer
def test_the_command_prints_tables_and_json(nodes: RunningNodes) -> None:
    target = nodes.address["0.10 127.0.0.1"]
    shown = command("probe", target, "--cluster", "test", "--protocol", "0")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "1 member, 1 key\n" in shown.stdout
    assert "0.10 127.0.0.1" in shown.stdout
    told = json.loads(command("probe", target, "--cluster", "test", "--json").stdout)
    assert list(told) == [
        *("address", "version", "seconds", "answers", "size", "watched", "complete", "trouble"),
        *("cluster_id", "members"),
    ]
    assert (told["complete"], told["members"][0]["told_up_to"], told["members"][0]["max_version"]) == (True, 1, 1)
    assert told["members"][0]["key_values"] == [{"key": "k", "value": "0.10", "version": 1, "status": "Set"}]
    assert Membership.from_json(json.dumps(told)).members[0].node_id == "0.10 127.0.0.1"


@pytest.mark.long
@needs_peer
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["TARGET", "--cluster", "other"], 1, "another cluster"),
        (["127.0.0.1:1", "--cluster", "test"], 1, "nobody listens"),
        (["192.0.2.1:1", "--cluster", "test"], 2, "--allow-remote"),
        (["127.0.0.1:x", "--cluster", "test"], 2, "port"),
        (["127.0.0.1:1"], 2, "--cluster"),
    ],
)
def test_the_command_fails_with_one_line(nodes: RunningNodes, arguments: list[str], code: int, says: str) -> None:
    target = nodes.address["0.10 127.0.0.1"]
    done = command("probe", *(target if each == "TARGET" else each for each in arguments))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


# --- answering machine ---


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


# --- what we build, taken by real nodes ---


@needs_peer
@pytest.mark.parametrize(("version", "protocol"), [("0.13", 0), ("0.13", 1), ("0.10.1", 0)])
def test_a_real_node_holds_the_keys_of_a_syn_ack_and_an_ack_of_ours(version: str, protocol: int) -> None:
    ours: dict[str, Any] = {"node_id": "ours", "generation_id": 3, "ip": "127.0.0.1", "port": free_port()}
    first = Chitchat(version=protocol) / ChitchatSynAck(
        digest=[NodeDigest(**ours, heartbeat=5, max_version=3)],
        delta=[
            NodeOp(**ours),
            KeyValueOp(key="color", value="green", version=1),
            KeyValueOp(key="gone", value="", version=2, status="Delete"),
            KeyValueOp(key="größe", value="日本" * 9000, version=3, status="DeleteAfterTtl"),
        ],
    )
    second = Chitchat(version=protocol) / ChitchatAck(
        delta=[NodeOp(**ours, from_version_excluded=3), KeyValueOp(key="color", value="blue", version=4)]
    )
    with (
        running({"version": version, "node_id": "real"}) as nodes,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        host, _, port = nodes.address["real"].rpartition(":")
        sender.sendto(bytes(first), (host, int(port)))
        assert eventually(lambda: "ours" in nodes.known("real"))
        assert held(nodes) == [
            ("color", "green", 1, "Set"),
            ("gone", "", 2, "Delete"),
            ("größe", "日本" * 9000, 3, "DeleteAfterTtl"),
        ]
        sender.sendto(bytes(second), (host, int(port)))
        assert eventually(lambda: nodes.known("real")["ours"]["max_version"] == 4)
        assert held(nodes)[0] == ("color", "blue", 4, "Set")
        assert nodes.ask("real", "state")["panics"] == 0


def held(nodes: RunningNodes) -> list[tuple[str, str, int, str]]:
    """The keys of our made-up node that the real one holds."""
    keys = nodes.known("real")["ours"]["key_values"]
    return sorted((each["key"], each["value"], each["version"], each["status"]) for each in keys)
