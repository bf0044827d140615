# SPDX-License-Identifier: GPL-2.0-or-later
"""Talking to real nodes: probing them, answering them, and having them take what we built."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP

from scapy_chitchat import (
    Chitchat,
    ChitchatAck,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
)
from scapy_chitchat.integration.answering import ChitchatNode_am
from scapy_chitchat.net.targets import TargetError, split_target
from scapy_chitchat.node.members import KeyValue, Member, Membership
from scapy_chitchat.node.probe import BadClusterError, NoAnswerError, NotChitchatError, ProbeError, probe
from scapy_chitchat.records import classes
from tests.support.peers import PATIENCE, RunningNodes, eventually, free_port, running, why_no_peer
from tests.support.typed import decoded

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
