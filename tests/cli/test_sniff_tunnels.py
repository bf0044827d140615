# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat sniff --tunnels``, and what passes the filter in the kernel."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.packet import Raw

from scapy_chitchat.capture import CaptureFile
from scapy_chitchat.capture.live import udp_filter
from tests.cli.sniffed import SYN, lines_of
from tests.live import sniffing
from tests.support.namespaces import linked
from tests.support.peers import PATIENCE
from tests.support.wrapped import inner4, mac, tunnels

FAULTS = Path(__file__).parents[1] / "capture" / "faults"


def put_on_wire(within: list[str], frames: list[bytes]) -> None:
    """Send frames as they are, from the interface of this end."""
    sending = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("gossip", 0))
    for line in sys.stdin:
        out.send(bytes.fromhex(line))
"""
    lines = "".join(f"{frame.hex()}\n" for frame in frames)
    subprocess.run([*within, sys.executable, "-c", sending], input=lines, text=True, check=True)


@contextmanager
def on_link(*arguments: str) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    """``sniff`` at one end of a link; what runs a command at the other."""
    with (
        linked(["10.77.0.1/24"], ["10.77.0.2/24"]) as (here, there),
        sniffing("-i", "gossip", *arguments, within=there) as process,
    ):
        yield here, process


PLAIN = bytes(mac() / inner4())
LAST = bytes(mac() / IP(src="10.9.9.9") / UDP(sport=7280, dport=7280) / Raw(SYN))
"""A message on a usual port from an address that nothing else comes from: behind it nothing more is sent."""
FRAMED = [each for each in tunnels() if each.linktype == 1]


def sniffed(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """All messages up to the last."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["source"] != "10.9.9.9:7280":
        found.append(json.loads(lines_of(process, 1)[0]))
    return found[:-1]


@pytest.mark.long
@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("ports", [[], ["--port", "7280"], ["--any-port"]], ids=" ".join)
def test_every_tunnel_passes_the_kernel_when_asked(ports: list[str]) -> None:
    with on_link("--tunnels", "--json", *ports) as (here, process):
        put_on_wire(here, [each.frame for each in FRAMED] + [LAST])
        found = sniffed(process)
    assert [tuple(each.get("tunnel", ())) for each in found] == [each.tunnel for each in FRAMED]


@pytest.mark.usefixtures("namespaces")
def test_without_being_asked_for_tunnels_stay_outside_and_fragments_come() -> None:
    pieces = [bytes(mac() / each) for each in fragment(inner4() / Raw(bytes(4000)), 1400)]  # type: ignore[no-untyped-call]
    with on_link("--json") as (here, process):
        put_on_wire(here, [*(each.frame for each in FRAMED if "v4" in each.name or "vxlan" in each.name), *pieces])
        put_on_wire(here, [LAST])
        found = sniffed(process)
    assert [(each["length"], "tunnel" in each) for each in found] == [(len(SYN) + 4000, False)]


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("frames", [[PLAIN], [FRAMED[0].frame]], ids=["none", "one"])
def test_it_is_said_that_there_were_no_tunnels(frames: list[bytes]) -> None:
    with on_link("--tunnels", "-c", "1") as (here, process):
        put_on_wire(here, frames)
        _, said = process.communicate(timeout=PATIENCE)
    assert ("no tunnels on gossip" in said) == (frames == [PLAIN])


@pytest.mark.usefixtures("namespaces")
def test_a_message_behind_a_flood_of_fragments_is_shown() -> None:
    with CaptureFile(FAULTS / "dos-fragments.pcap.gz") as read:
        flood = [frame.data for frame in read]
    with on_link("--json") as (here, process):
        put_on_wire(here, [*flood, LAST])
        assert [each for each in sniffed(process) if each["source"] == "10.9.9.9:7280"] == []
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert "dropped" not in said


@pytest.mark.parametrize("tunnels", [False, True])
@pytest.mark.parametrize("count", [0, 1, 50, 51])
def test_a_filter_of_many_ports_can_be_written(count: int, tunnels: bool) -> None:
    assert len(udp_filter(range(1, count + 1), tunnels=tunnels)) % 8 == 0
