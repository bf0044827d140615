# SPDX-License-Identifier: GPL-2.0-or-later
"""Small captures of every kind of wrapping, format and damage, with what is right for each."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.sendrecv import sniff

from scapy_chitchat import ChitchatSession, read_messages
from scapy_chitchat.capture import CaptureError, Counters, notes
from scapy_chitchat.integration.captures import CaptureSocket
from scapy_chitchat.net.addresses import join_address

FOLDER = Path(__file__).parent / "faults"
PODS, PODS_6 = ("10.244.1.5:7280", "10.244.2.7:7280"), ("[fd00::1]:7280", "[fd00::2]:7280")
CARRIED = "192.168.1.10 > 192.168.1.11"


class Right(NamedTuple):
    """What a capture holds."""

    messages: int
    ends: tuple[str, str] = PODS
    tunnel: tuple[str, ...] = ()


RIGHT = {
    "6in4.pcap": Right(4, PODS_6, (f"6in4 {CARRIED}",)),
    "erspan2.pcap": Right(4, PODS, (f"erspan 1 {CARRIED}",)),
    "f6-dst-after-frag.pcap": Right(1, PODS_6),
    "geneve6081-opts.pcap": Right(4, PODS, (f"geneve 42 {CARRIED}",)),
    "gre-ip.pcap": Right(4, PODS, (f"gre {CARRIED}",)),
    "ipip-calico.pcap": Right(4, PODS, (f"ipip {CARRIED}",)),
    "llc-snap.pcap": Right(4),
    "lt0-null6-fam23.pcap": Right(4, PODS_6),
    "lt1-fcsbits.pcap": Right(4),
    "lt239-nflog.pcap": Right(4),
    "lt258-pktap.pcap": Right(4),
    "mpls1.pcap": Right(4, PODS, ("mpls 100",)),
    "pppoe.pcap": Right(4, PODS, ("pppoe 7",)),
    "vlan.pcap": Right(4),
    "vxlan4789-aws-calico.pcap": Right(4, PODS, (f"vxlan 42 {CARRIED}",)),
    "vxlan4789-inner6.pcap": Right(4, PODS_6, (f"vxlan 42 {CARRIED}",)),
    "lt1-eth4.pcap.lz4": Right(4),
    "lt1-eth4.pcap.zst": Right(4),
    "gzip-in-gzip.pcap.gz.gz": Right(4),
    "pc-modified.pcap": Right(4),
    "ng-2if-oneunreadable.pcapng": Right(2),
    "ng-2sect-le-be.pcapng": Right(4),
    "ng-2sect-lt.pcapng": Right(4),
    "ng-spb.pcapng": Right(4),
    "ng-tsoffset.pcapng": Right(4),
    "port-filtered-first-fragments.pcap": Right(4),
}


@pytest.mark.parametrize("name", RIGHT)
def test_messages_and_addresses_are_those_inside(name: str) -> None:
    right = RIGHT[name]
    found = list(read_messages(FOLDER / name))
    assert [(each.source, each.destination) for each in found] == [right.ends] * right.messages
    assert {each.tunnel for each in found} == {right.tunnel}
    assert all((b'"tunnel":[' in each.as_json()) == bool(right.tunnel) for each in found)


@pytest.mark.parametrize("name", RIGHT)
def test_the_session_gives_the_same_messages(name: str) -> None:
    right = RIGHT[name]
    packets = sniff(opened_socket=CaptureSocket(FOLDER / name), session=ChitchatSession, quiet=True)
    found = []
    for each in packets:
        ip = each.getlayer(IP) or each.getlayer(IPv6)
        assert ip is not None
        found.append((join_address(ip.src, each[UDP].sport), join_address(ip.dst, each[UDP].dport)))
    assert found == [right.ends] * right.messages


SCAPY_OPENS = [
    name for name, right in RIGHT.items() if (right.tunnel or name.startswith("lt")) and name.endswith(".pcap")
]
"""Scapy's own reader unpacks gzip alone."""


@pytest.mark.parametrize("name", SCAPY_OPENS)
def test_the_session_reads_them_from_scapys_own_reader(name: str) -> None:
    packets = sniff(offline=str(FOLDER / name), session=ChitchatSession, quiet=True)
    assert len(packets) == RIGHT[name].messages


def test_plain_messages_and_messages_in_a_tunnel_are_told_apart() -> None:
    found = [each.tunnel for each in read_messages(FOLDER / "mixed-plain-and-vxlan.pcap")]
    assert sorted(map(len, found)) == [0] * 4 + [1] * 4


@pytest.mark.parametrize(
    ("name", "first", "apart"),
    [
        ("ng-2sect-le-be.pcapng", "1795501249.123456", 0),
        ("ng-tsoffset.pcapng", "1795504849.123456", 0.001),
        ("sec-us-ns.pcapng", "1795501496.380000", 0.000001),
    ],
)
def test_times_are_those_of_the_interface_in_its_section(name: str, first: str, apart: float) -> None:
    times = [each.time for each in read_messages(FOLDER / name)]
    assert str(times[0]) == first
    assert float(times[1] - times[0]) == pytest.approx(apart)
    assert len({int(time) for time in times}) == 1


@pytest.mark.parametrize(
    ("name", "before", "said"),
    [
        ("ng-badif.pcapng", 1, "a packet of interface 5, which its section does not describe, behind frame 1"),
        ("ng-huge-block.pcapng", 1, "is damaged behind frame 1"),
        ("gzip-memory.cap", 0, "interface 99"),
        ("replay-short-frame.cap", 0, "is cut off behind frame 15"),
    ],
)
def test_damage_is_said_in_one_line_behind_what_came_before(name: str, before: int, said: str) -> None:
    messages = read_messages(FOLDER / name)
    found = [next(messages) for _ in range(before)]
    with pytest.raises(CaptureError, match=said) as raised:
        next(messages)
    assert len(found) == before
    assert "\n" not in str(raised.value)


def told(name: str) -> str:
    counters = Counters()
    for _ in read_messages(FOLDER / name, counters=counters):
        pass
    return "\n".join(notes(counters))


def test_what_was_lost_is_said() -> None:
    assert told("vlan.pcap") == ""
    assert told("ng-2if-oneunreadable.pcapng") == "1 frame of link type 239 cannot be read"
    first_only = told("port-filtered-first-fragments.pcap")
    assert first_only.startswith("2 datagrams whose later fragments are not in the capture")
    assert "or (ip[6:2] & 0x1fff != 0)" in first_only


def test_fragments_in_the_worst_order_are_put_together() -> None:
    counters = Counters()
    assert list(read_messages(FOLDER / "dos-fragments.pcap.gz", counters=counters)) == []
    assert (counters.fragments, counters.reassembled, counters.incomplete) == (8189, 1, 0)
