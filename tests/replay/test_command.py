# SPDX-License-Identifier: GPL-2.0-or-later
"""Replay as a command, into files and onto interfaces."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scapy_chitchat import Chitchat, ChitchatSyn, read_messages
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.net.packets import Endpoints, ip_packets
from tests.replay.targets import HERE, REPLAY, THREE, Sink, run
from tests.support.namespaces import NoNamespaces, check_namespaces
from tests.support.peers import PATIENCE

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
