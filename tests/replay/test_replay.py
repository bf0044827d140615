# SPDX-License-Identifier: GPL-2.0-or-later
import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import Chitchat, ChitchatAck, ChitchatSyn, decode, encode, read_messages
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.fuzz import building
from scapy_chitchat.net.packets import Endpoints, ip_packets
from scapy_chitchat.node.members import KeyValue
from scapy_chitchat.node.told import ToldMember
from scapy_chitchat.records.classes import KeyValueOp
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.records.sections import delta_of, digest_of, sections
from scapy_chitchat.replay.channels import ToFile, ToNode
from scapy_chitchat.replay.holding import Noting
from scapy_chitchat.replay.messages import Choice, Messages, Outgoing, Pace, Tally, play
from scapy_chitchat.replay.reach import named, stays_here
from scapy_chitchat.replay.rewrite import LoopbackAddresses, Rewriting, parse_address_mapping
from tests.support import PCAPS
from tests.support.namespaces import NoNamespaces, check_namespaces
from tests.support.peers import PATIENCE, eventually, unread

THREE = PCAPS / "v0-three-nodes.pcap"
HERE = Endpoints("127.0.0.1", 7281, "127.0.0.1", 7280)


REPLAY = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()", "replay"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*REPLAY, *map(str, arguments)], capture_output=True, text=True, timeout=300)


class Sink:
    """A socket that takes datagrams."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.text = f"127.0.0.1:{self.address[1]}"

    def taken(self) -> list[bytes]:
        found = []
        self.socket.settimeout(0.2)
        while True:
            try:
                found.append(self.socket.recv(65536))
            except TimeoutError:
                return found


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.socket.close()


class Node:
    """A fresh real node."""

    def __init__(self, peer: Path, version: str) -> None:
        self.version = version
        words = f"node --version {version} --node-id fresh --cluster-id laptop --listen 127.0.0.1:0"
        self.process = subprocess.Popen(
            [peer, *words.split()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.address: str = self._answer()["ready"]

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def held(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By node_id and address: what it holds of others."""
        assert self.process.stdin
        self.process.stdin.write('{"op":"state"}\n')
        self.process.stdin.flush()
        return {
            (each["node_id"], each["gossip_advertise_addr"]): {
                pair["key"]: (pair["value"], pair["version"], pair["status"]) for pair in each["key_values"]
            }
            for each in self._answer()["nodes"]
            if each["node_id"] != "fresh"
        }

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=["0.10", "0.13"])
def node(peer: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    made = Node(peer, request.param)
    yield made
    made.close()


def carried(capture: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """By node_id and address: the last value of each key that deltas carry; all members that digests name."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for captured in read_messages(capture):
        for entry in digest_of(captured.message):
            found.setdefault((entry.node_id, entry.gossip_advertise_addr), {})
        for section in sections(delta_of(captured.message)):
            held = found[section.node.node_id, section.node.gossip_advertise_addr]
            for op in section.changes:
                if isinstance(op, KeyValueOp) and held.get(op.key, ("", 0))[1] < op.version:
                    held[op.key] = (op.value, op.version, op.status)
    return found


# --- into real nodes ---


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


# --- to a sink ---


def sent_to(sink: Sink, messages: Messages, tally: Tally | None = None) -> list[bytes]:
    play(messages, ToNode(sink.address, tally or messages.tally), patience=0.0)
    return sink.taken()


def test_messages_arrive_unchanged_and_in_order(sink: Sink) -> None:
    expected = [captured.data for captured in read_messages(THREE)]
    assert sent_to(sink, Messages([THREE], pace=Pace(rate=5000))) == expected
    assert sent_to(sink, Messages([THREE], pace=Pace(rate=5000), skip_refused=True)) == expected


@pytest.mark.parametrize("pace", [Pace(speed=10), Pace(rate=2000)])
def test_the_pace(sink: Sink, pace: Pace) -> None:
    started = time.perf_counter()
    sent_to(sink, Messages([THREE], pace=pace))
    expected = 6.02 / 10 if pace.rate is None else 564 / 2000
    assert time.perf_counter() - started > expected * 0.95, "sent too early"


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """THREE, as if its second node were on another machine."""
    path = tmp_path_factory.mktemp("away") / "away.pcapng"
    assert run("-w", path, "--map-addr", "127.0.0.2=192.0.2.7", THREE).returncode == 0
    return path


def addresses_of(datas: list[bytes]) -> set[str]:
    """All gossip addresses in messages."""
    return {node.gossip_advertise_addr for data in datas for node in named(decode(data))}


def test_messages_that_name_other_machines_are_kept_back(sink: Sink, away: Path) -> None:
    whole = [captured.data for captured in read_messages(away)]
    at_home = [data for data in whole if "192.0.2.7:7280" not in addresses_of([data])]
    done = run("--to", sink.text, "--rate", "2000", away)
    assert sink.taken() == at_home
    assert 0 < len(at_home) < len(whole)
    kept_back = len(whole) - len(at_home)
    assert f"kept back {kept_back} messages naming addresses that are not on this machine" in done.stderr
    assert run("--to", sink.text, "--rate", "2000", "--allow-remote", away).stdout.startswith("sent        564 ")
    assert len(sink.taken()) == 564


def test_when_all_is_kept_back_one_line_says_why(sink: Sink) -> None:
    done = run("--to", sink.text, "--map-addr", "127.0.0.1=192.0.2.7", "--type", "SynAck", "--map-node", "x=y", THREE)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "--to-loopback" in done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.long
def test_a_whole_capture_is_brought_home(sink: Sink, away: Path) -> None:
    done = run("--to", sink.text, "--rate", "2000", "--to-loopback", away)
    assert done.returncode == 1, "a sink answers nothing"
    sent = sink.taken()
    assert len(sent) == 564
    assert addresses_of(sent) == {"127.0.0.1:7280", "127.1.0.1:7280", "127.0.0.3:7280"}


def test_loopback_addresses_are_distinct_and_stay() -> None:
    given = LoopbackAddresses({"127.1.0.2"})
    far = ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1", "[fd00::1]:1", "127.1.0.3:1", "0.0.0.0:3"]
    near = ["[::1]:5", "127.9.9.9:0"]
    new = {address: given.instead_of(address) for address in far}
    assert new == {address: given.instead_of(address) for address in reversed(far)}
    assert new["10.0.0.1:1"] == "127.1.0.1:1"
    assert new["10.0.0.1:2"] == "127.1.0.1:2"
    assert new["10.0.0.2:1"] == "127.1.0.3:1"
    assert new["127.1.0.3:1"] == "127.1.0.5:1", "what was given already is not given again"
    assert [given.instead_of(address) for address in near] == near
    assert len(set(new.values())) == len(far)
    assert all(map(stays_here, new.values()))


@pytest.fixture
def slow() -> Iterator[tuple[Sink, list[bytes], threading.Event]]:
    """A sink with a small buffer, which takes one message in a while, and none while the event is not set."""
    sink, taken, takes = Sink(), [], threading.Event()
    takes.set()
    sink.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100 * 1024)  # which Linux doubles

    def take() -> None:
        with suppress(OSError):
            while takes.wait():
                taken.append(sink.socket.recv(65536))
                time.sleep(0.001)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    yield sink, taken, takes
    sink.socket.close()


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="there is no /proc/net/udp, which tells of drops")
def test_a_slow_node_gets_all_unless_it_is_flooded(
    slow: tuple[Sink, list[bytes], threading.Event],
) -> None:
    sink, taken, takes = slow
    done = run("--to", sink.text, "--asap", "--loop", "3", THREE)
    assert "dropped" not in done.stdout + done.stderr
    assert eventually(lambda: len(taken) == 3 * 564)
    taken.clear()
    takes.clear()
    done = run("--to", sink.text, "--asap", "--no-window", "--loop", "3", "--type", "Ack", THREE)
    lost = re.search(r"dropped +([\d,]+)\n", done.stdout)
    assert lost, done.stdout
    assert done.returncode == 1
    assert f"the kernel dropped {lost[1]} datagrams" in done.stderr
    takes.set()
    expected = 3 * 188 - int(lost[1].replace(",", ""))
    assert eventually(lambda: len(taken) >= expected)
    assert len(taken) == expected


def test_due_moments_are_those_of_the_capture() -> None:
    times = [float(captured.time) for captured in read_messages(THREE)]
    twice = [message.due for message in Messages([THREE], passes=2, pace=Pace(speed=2))]
    first, second = twice[: len(times)], twice[len(times) :]
    assert first == pytest.approx([(each - times[0]) / 2 for each in times], abs=1e-5)
    assert second == pytest.approx([first[-1] + due for due in first], abs=1e-5)


def at_moments(path: Path, *seconds: float) -> Path:
    """A capture of the same message at these moments."""
    with CaptureWriter(path) as out:
        for each in seconds:
            out.datagram(HERE, bytes(Chitchat() / ChitchatSyn(cluster_id="c")), round((10**9 + each) * 10**9))
    return path


def test_a_clock_that_was_set_back_goes_on_from_there(tmp_path: Path) -> None:
    path = at_moments(tmp_path / "back.pcapng", 5000, 5001, 5000.5, 5002, 1000, 1003, 1004, 999)
    due = [message.due for message in Messages([path])]
    assert due == pytest.approx([0, 1, 1, 2, 2, 5, 6, 6])


def test_pauses_are_cut_to_the_longest(tmp_path: Path) -> None:
    path = at_moments(tmp_path / "gaps.pcapng", 0, 2, 90000, 90000.25)
    due = [message.due for message in Messages([path], pace=Pace(speed=2, max_gap=0.5))]
    assert due == pytest.approx([0, 0.5, 1, 1.125])


@pytest.mark.long
def test_a_long_pause_is_said(tmp_path: Path, sink: Sink) -> None:
    path = at_moments(tmp_path / "long.pcapng", 0, 59, 3719)
    assert run("--to", sink.text, "--max-gap", "0.1", path).stderr.count("due in") == 0
    process = subprocess.Popen(
        [*REPLAY, "--to", sink.text, "--speed", "59", str(path)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    said = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert "the next message is due in 0:01:02; --max-gap shortens pauses" in said


def test_what_one_node_sent() -> None:
    whole = list(read_messages(THREE))
    expected = [captured.data for captured in whole if captured.source == "127.0.0.2:7280"]
    syn_ack: Any = whole[1].message
    node_id = next(each.node_id for each in syn_ack.digest if each.gossip_advertise_addr == "127.0.0.2:7280")
    for name in ("127.0.0.2:7280", "127.0.0.2", node_id):
        assert [message.data for message in Messages([THREE], choice=Choice(sender=name))] == expected
    assert "127.0.0.2:7280" in run("-w", os.devnull, "--from", "nobody", THREE).stderr


def test_types_are_chosen() -> None:
    kinds = [message.kind for message in Messages([THREE], choice=Choice(types=frozenset({"Ack"})))]
    assert kinds == ["Ack"] * 188


def test_refused_messages_are_passed_on_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "some.pcapng"
    good = bytes(Chitchat() / ChitchatSyn(cluster_id="c"))
    bad = bytes(Chitchat() / ChitchatAck(delta_blocks=b"\x09"))
    with CaptureWriter(path) as out:
        for data in (good, bad, good):
            out.datagram(HERE, data, 10**18)
    messages = Messages([path], rewriting=Rewriting(cluster_id="d"))
    assert [message.data for message in messages][1] == bad
    skipping = Messages([path], skip_refused=True)
    assert [message.data for message in skipping] == [good, good]
    assert skipping.tally.skipped == {"refused by nodes": 1}


@pytest.mark.parametrize("skip_refused", [False, True])
def test_what_the_capture_cut_is_not_sent_but_counted(tmp_path: Path, skip_refused: bool) -> None:
    path = tmp_path / "cut.pcap"
    whole = [captured.data for captured in read_messages(THREE)][:3]
    packets = [next(ip_packets(HERE, data, 1)) for data in whole]
    kept = [packets[0], packets[1][:60], packets[2]]
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101)
    for second, (packet, frame) in enumerate(zip(packets, kept, strict=True)):
        out += struct.pack("<IIII", second, 0, len(frame), len(packet)) + frame
    path.write_bytes(out)
    messages = Messages([path], skip_refused=skip_refused)
    assert [message.data for message in messages] == [whole[0], whole[2]]
    assert messages.tally.skipped == {"cut by the capture": 1}


def test_answers_beyond_those_that_are_wanted_do_not_count() -> None:
    tally = Tally(
        sent=Counter({"Syn": 3, "SynAck": 2, "Ack": 9}), answers=Counter({"SynAck": 5, "Ack": 1, "BadCluster": 1})
    )
    assert (tally.wanted, tally.answered, tally.unanswered) == (5, 4, 0)
    tally.answers = Counter({"SynAck": 1, "Ack": 7})
    assert (tally.answered, tally.unanswered) == (3, 2)
    assert Tally(answers=Counter({"SynAck": 4})).answered == 0


def test_another_pass_is_rewritten_anew() -> None:
    wish = Rewriting(heartbeat_offset=1000)
    syns = [each.data for each in Messages([THREE], rewriting=wish, passes=2, choice=Choice(frozenset({"Syn"})))]
    assert len(syns) == 2 * 188
    assert not set(syns[:188]) & set(syns[188:])


# --- into a file, and onto an interface ---


def test_a_written_capture_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out.pcapng"
    done = run("-w", path, "--cluster-id", "c", "--map-addr", "127.0.0.1=10.0.0.1", "--speed", "2", THREE)
    assert done.returncode == 0, done.stderr
    before, after = list(read_messages(THREE)), list(read_messages(path))
    assert len(before) == len(after)
    assert {captured.source for captured in after} == {"10.0.0.1:7280", "127.0.0.2:7280", "127.0.0.3:7280"}
    assert {getattr(captured.message, "cluster_id", "c") for captured in after} == {"c"}
    assert float(after[-1].time - after[0].time) == pytest.approx(float(before[-1].time - before[0].time) / 2)


def test_packets_and_their_fragments_carry_right_checksums() -> None:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6

    for ends, layer in ((HERE, IP), (Endpoints("::1", 1, "fe80::2", 2), IPv6)):
        for data in (b"", b"odd", bytes(range(256)) * 200):
            (packet,) = ip_packets(ends, data, 7)
            again = layer(packet)
            del again[UDP].chksum, again[UDP].len
            if layer is IP:
                del again.chksum, again.len
            assert bytes(again) == packet
            pieces = list(ip_packets(ends, data, 7, mtu=1500))
            assert max(map(len, pieces)) <= 1500
    assert len(list(ip_packets(HERE, bytes(65507), 7))) == 1


def test_fragments_are_put_together_again(tmp_path: Path) -> None:
    data = bytes(Chitchat() / ChitchatSyn(cluster_id="x" * 60000))
    for ends in (HERE, Endpoints("::1", 7280, "::1", 7280)):
        path = tmp_path / "fragments.pcapng"
        with CaptureWriter(path) as out:
            for packet in ip_packets(ends, data, 5, mtu=1500):
                out.write(packet, 10**18, "a piece")
        assert [captured.data for captured in read_messages(path)] == [data]


@pytest.mark.skipif(os.geteuid() != 0 or not hasattr(socket, "AF_PACKET"), reason="whole packets need root on Linux")
def test_whole_packets_reach_who_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        try:
            listening.bind(("127.0.0.3", 7280))
        except OSError:
            pytest.skip("something else listens at 127.0.0.3:7280")
        listening.settimeout(PATIENCE)
        done = run("--as-captured", "-i", "lo", "--speed", "50", THREE)
        assert done.returncode == 0, done.stderr
        assert listening.recv(65536)[:2] == b"\x53\xb0"


@pytest.mark.long
def test_an_interface_is_looked_for_where_we_are() -> None:
    """In a namespace that shows another one's /sys, as ``unshare -n`` does."""
    try:
        check_namespaces()
    except NoNamespaces as why:
        pytest.skip(str(why))
    outer = sorted(set(os.listdir("/sys/class/net")) - {"lo"})
    inner = shlex.join(map(str, [*REPLAY, "--as-captured", "--allow-remote", "-i", "inner0", "--asap", THREE]))
    link = "ip link add inner0 type veth peer name inner1 && ip link set inner0 up"
    done = subprocess.run(["unshare", "-n", "sh", "-c", f"{link} && exec {inner}"], capture_output=True, text=True)
    if "nknown device type" in done.stderr:
        pytest.skip("there are no veth interfaces here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sent        564 ")
    for name in (*outer[:1], "nothere"):
        words = ["unshare", "-n", *map(str, REPLAY), "--as-captured", "--allow-remote", "-i", name, str(THREE)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert f"there is no interface {name}; there are lo" in done.stderr


# --- as a command ---


def test_targets_off_this_machine_are_refused() -> None:
    done = run("--to", "192.0.2.1:7280", THREE)
    assert done.returncode == 2
    assert "--allow-remote" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say where to"),
        (["--to", "127.0.0.1:1", "--speed", "2", "--asap"], "choose one"),
        (["--as-captured"], "belong together"),
        (["-w", os.devnull, "--verify"], "it asks the node"),
        (["--to", "127.0.0.1:1", "--no-window"], "goes with --asap"),
        (["--to", "127.0.0.1:1", "--map-node", "x"], "not OLD=NEW"),
        (["--to", "127.0.0.1:1", "--map-addr", "x=y"], "not an IP address"),
        (["-w", os.devnull, "--loop", "0"], "never end"),
        (["--to", "127.0.0.1:1", "--rate", "1", "--max-gap", "1"], "--max-gap is for the pauses"),
    ],
)
def test_wrong_usage_is_one_line(options: list[str], said: str) -> None:
    done = run(*options, THREE)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_nobody_there_is_said(sink: Sink) -> None:
    sink.socket.close()
    done = run("--to", sink.text, "--asap", THREE)
    assert done.returncode == 1
    assert "nothing listens" in done.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_replay_says_what_it_sent(sink: Sink, stop: signal.Signals) -> None:
    command = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()", "replay"]
    options = ["--to", sink.text, "--loop", "0", "--rate", "500", str(THREE)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        sink.socket.settimeout(PATIENCE)
        for _ in range(20):
            sink.socket.recv(65536)
        process.send_signal(stop)
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out.startswith("sent ")


def test_a_capture_of_all_times_is_replayed(tmp_path: Path, sink: Sink) -> None:
    messages = list(read_messages(THREE))[:2]
    first, last = tmp_path / "first.pcapng", tmp_path / "last.pcapng"
    for path, moment in ((first, 0), (last, 2**64 - 1)):
        with CaptureWriter(path) as out:
            out.datagram(Endpoints("127.0.0.1", 7280, "127.0.0.1", 7280), messages[0].data, moment)
            out.datagram(Endpoints("127.0.0.1", 7280, "127.0.0.1", 7280), messages[1].data, 2**64 - 1)
    written = tmp_path / "out.pcapng"
    done = run("-w", written, first, last)
    assert done.returncode == 0, done.stderr
    assert [each.data for each in read_messages(written)] == [messages[n].data for n in (0, 1, 0, 1)]
    process = subprocess.Popen(
        [*REPLAY, "--to", sink.text, str(first)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    sink.socket.settimeout(PATIENCE)
    assert sink.socket.recv(65536) == messages[0].data  # the next is due in 584 years
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=PATIENCE)
    assert re.match("sent +(1 message|0 messages),", said)  # the first may not be counted yet
    assert "Traceback" not in errors
