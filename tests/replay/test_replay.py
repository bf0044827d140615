# SPDX-License-Identifier: GPL-2.0-or-later
"""Replay: captures to sinks: what is sent, when, and to whom."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import Chitchat, ChitchatAck, ChitchatSyn, decode, read_messages
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.net.packets import ip_packets
from scapy_chitchat.replay.channels import ToNode
from scapy_chitchat.replay.messages import Choice, Messages, Pace, Tally, play
from scapy_chitchat.replay.reach import named, stays_here
from scapy_chitchat.replay.rewrite import LoopbackAddresses, Rewriting
from tests.replay.targets import HERE, REPLAY, THREE, Sink, run
from tests.support.peers import PATIENCE, eventually


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


@pytest.mark.long
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
