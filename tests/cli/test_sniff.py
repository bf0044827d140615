# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat sniff`` on loopback and in namespaces of its own."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scapy_chitchat import (
    Chitchat,
    ChitchatSyn,
    NodeDigest,
    read_messages,
)
from scapy_chitchat.capture import CaptureError
from scapy_chitchat.capture.live import Interface
from tests import live
from tests.cli.sniffed import ACK, SYN, lines_of, needs_root, send
from tests.live import SNIFF, sniffing
from tests.support.namespaces import linked
from tests.support.peers import PATIENCE, eventually, free_port, why_no_peer

NO_PEER = why_no_peer()


@needs_root
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_messages_are_shown_as_they_come(host: str) -> None:
    port = free_port(host)
    with sniffing("-i", "lo", "--port", str(port)) as process:
        send(port, SYN, host=host)
        (line,) = lines_of(process, 1)
        assert f":{port}  Syn         V0" in line
        assert line.endswith("cluster=c  digest=1")
        send(port, ACK, host=host)
        (line,) = lines_of(process, 1)
        assert "Ack         V1" in line
        assert line.endswith("delta=1 nodes/1 keys")


@needs_root
def test_a_message_on_loopback_is_seen_once_and_others_not_at_all() -> None:
    port = free_port()
    with sniffing("-i", "lo", "--port", str(port), "--json") as process:
        send(free_port(), SYN)
        send(port, SYN, b"not gossip", ACK)
        first, second, third = map(json.loads, lines_of(process, 3))
    assert [each["frame"] for each in (first, second, third)] == [1, 2, 3]
    assert (first["type"], second["error"]["code"], third["type"]) == ("Syn", "bad-magic", "Ack")
    assert abs(first["time"] - time.time()) < 60


@needs_root
@pytest.mark.parametrize("interface", ["lo", "any"])
def test_any_port_knows_messages_by_their_header(interface: str) -> None:
    port = free_port()
    message = bytes(Chitchat() / ChitchatSyn(cluster_id=f"at {port}"))
    seen = threading.Event()

    def send_until_seen() -> None:
        while not seen.wait(0.1):
            send(port, b"something else", message)

    with sniffing("-i", interface, "--any-port", "--fields", "destination,cluster_id") as process:
        sender = threading.Thread(target=send_until_seen)
        sender.start()
        try:
            lines = iter(lambda: lines_of(process, 1)[0], "")  # of others too: whatever passes
            assert f"127.0.0.1:{port}\tat {port}" in lines, process.stderr and process.stderr.read()
        finally:
            seen.set()
            sender.join()


@needs_root
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_with_all_that_came_before(way: signal.Signals, tmp_path: Path) -> None:
    port, kept = free_port(), tmp_path / "kept.pcapng"
    arguments = ["-i", "lo", "--port", str(port), "--json", "--summary", "--stats", "--user", "root", "-w", str(kept)]
    with sniffing(*arguments, output=(tmp_path / "out").open("w")) as process:
        send(port, *[SYN, ACK] * 100)
        process.send_signal(way)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    shown = (tmp_path / "out").read_text().splitlines()
    assert len(shown) == 200
    assert all(json.loads(line) for line in shown)
    assert "Node pairs" in said
    assert re.search(r"lost: frames that the kernel dropped +0 ", said)
    assert [each.data for each in read_messages(kept)] == [SYN, ACK] * 100
    assert [each.as_json().decode() for each in read_messages(kept)] == shown


@needs_root
def test_it_stops_after_so_many_messages() -> None:
    port = free_port()
    with sniffing("-i", "lo", "--port", str(port), "-c", "2", "--type", "Syn") as process:
        send(port, SYN, ACK, SYN, SYN)
        out, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")
    assert len(out.splitlines()) == 2


@needs_root
def test_it_stops_in_time_and_says_what_to_try_when_there_was_nothing() -> None:
    done = subprocess.run(
        [*SNIFF, "-i", "lo", "--port", str(free_port()), "--seconds", "0.2"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "--any-port looks at all" in done.stderr
    assert done.stderr.count("\n") == 1


@needs_root
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    port = free_port()
    with sniffing("-i", "lo", "--port", str(port)) as process:
        assert process.stdout
        send(port, SYN)
        lines_of(process, 1)
        process.stdout.close()

        def ended() -> bool:
            send(port, SYN)
            return process.poll() is not None

        assert eventually(ended)
        assert process.returncode == 0
        assert process.stderr
        assert process.stderr.read() == ""
        process.stdout = None


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["-i", "nothing0"], 1, "no such interface; there are"),
        (["-i", "lo", "--port", "1", "--any-port"], 2, "--port and --any-port"),
        (["-i", "lo", "-w", "-"], 2, "-w wants a file"),
        ([], 2, "--interface"),
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], code: int, says: str) -> None:
    extra = ["--json"] if not arguments else []
    done = subprocess.run([*SNIFF, *arguments, *extra], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


# --- in namespaces ---


def in_namespace(within: list[str], text: str) -> None:
    """Run a few lines of Python in a namespace."""
    subprocess.run([*within, sys.executable, "-c", text], check=True)


@pytest.mark.long
@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(("addresses", "target"), [
    ((["10.77.0.1/24"], ["10.77.0.2/24"]), "10.77.0.2"),
    ((["fd77::1/64", "10.77.0.1/24"], ["fd77::2/64"]), "fd77::2"),
])  # fmt: skip
def test_fragments_on_a_wire_are_put_together(addresses: tuple[list[str], list[str]], target: str) -> None:
    data = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id=f"n{i:04}") for i in range(1000)]))
    with linked(*addresses) as (here, there), sniffing("-i", "gossip", "--json", within=there) as process:
        text = f"""
import socket, time
family = socket.AF_INET6 if ":" in {target!r} else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as sender:
    for attempt in range(100):  # an IPv6 address is not usable at once
        try:
            sender.bind(("fd77::1" if family == socket.AF_INET6 else "10.77.0.1", 0))
            break
        except OSError:
            time.sleep(0.1)
    for _ in range(20):
        sender.sendto(bytes.fromhex({data.hex()!r}), ({target!r}, 7280))
        time.sleep(0.05)
"""
        in_namespace(here, text)
        message = json.loads(lines_of(process, 1)[0])
    assert message["length"] == len(data)
    assert len(message["digest"]) == 1000
    assert message["frame"] > 30


@pytest.mark.usefixtures("namespaces")
def test_an_interface_that_goes_down_is_said() -> None:
    with linked(["10.77.0.1/24"], ["10.77.0.2/24"]) as (_, there), sniffing("-i", "gossip", within=there) as process:
        subprocess.run([*there, "ip", "link", "set", "gossip", "down"], check=True)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "gossip: Network is down" in said


@pytest.mark.long
@pytest.mark.usefixtures("namespaces")
@pytest.mark.skipif(not shutil.which("tcpdump"), reason="there is no tcpdump to compare with")
@pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)
def test_all_that_tcpdump_sees_of_a_real_cluster_is_shown_and_decoded(tmp_path: Path) -> None:
    figures = live.run(4, tmp_path)
    assert (figures.missing, figures.refused, figures.dropped) == (0, 0, 0)
    assert figures.by_tcpdump > 300
    assert figures.largest > 50_000
    assert figures.fragments > 500


@needs_root
def test_an_interface_counts_what_it_gave() -> None:
    port = free_port()
    with Interface("lo", [port]) as interface:
        send(port, SYN, SYN)
        frames = iter(interface)
        seen = [next(frames) for _ in range(3)]
        assert [frame is None for frame in seen] == [False, False, True]
        assert interface.statistics() == (2, 0)
        assert interface.statistics() == (2, 0)


def test_no_such_interface_is_a_capture_error() -> None:
    with pytest.raises(CaptureError, match="nothing0: no such interface"):
        Interface("nothing0")
