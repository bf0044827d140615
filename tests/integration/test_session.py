# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages out of Scapy's own sniffing, offline and live."""

from __future__ import annotations

import os
import random
import socket
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.plist import PacketList
from scapy.sendrecv import AsyncSniffer, sniff
from scapy.supersocket import StreamSocket

from scapy_chitchat import Chitchat, ChitchatSession, ChitchatSyn, NodeDigest, read_messages
from tests.support import PCAPS
from tests.support.peers import PATIENCE, free_port

SMALL = bytes(Chitchat() / ChitchatSyn(cluster_id="c"))
LARGE = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id=f"n{i:04}") for i in range(300)]))


def through(packets: list[Packet], session: object = ChitchatSession) -> PacketList:
    """What a session gives for packets, each dissected as if it had come off the wire."""
    return sniff(offline=[type(packet)(bytes(packet)) for packet in packets], session=session)


def in_ipv4(data: bytes, **ports: int) -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(dst="10.0.0.2") / udp(data, **ports)


def udp(data: bytes, sport: int = 7280, dport: int = 7280) -> Packet:
    return UDP(sport=sport, dport=dport) / Raw(data)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["v0-three-nodes.pcap", "v0-ipv6.pcap", "v0-bad-cluster.pcap", "v0-large-fragmented.pcap.gz"]
)
def test_a_session_gives_the_messages_that_the_reader_of_captures_gives(name: str) -> None:
    seen = [bytes(packet[Chitchat]) for packet in sniff(offline=str(PCAPS / name), session=ChitchatSession)]
    assert seen == [each.data for each in read_messages(PCAPS / name)]


def test_what_is_no_message_does_not_come_out() -> None:
    other = [in_ipv4(b"hello", dport=53), Ether() / IP() / ICMP(), Ether(type=0x88CC) / Raw(b"x" * 60)]
    assert [bytes(packet[Chitchat]) for packet in through([*other, in_ipv4(SMALL)])] == [SMALL]


def test_a_message_on_any_port_is_dissected_and_keeps_its_packet() -> None:
    frame = in_ipv4(SMALL, sport=4000, dport=4001)
    (packet,) = through([frame])
    assert packet[ChitchatSyn].cluster_id == "c"
    assert bytes(packet) == bytes(frame)


def test_ports_say_what_is_a_message() -> None:
    packets = [in_ipv4(b"not gossip", dport=4001), in_ipv4(SMALL)]
    (packet,) = through(packets, ChitchatSession(ports=[4001]))
    assert packet[Chitchat].payload.code == "bad-magic"


@pytest.mark.parametrize("order", ["as sent", "reversed", "shuffled", "every one twice"])
@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_fragments_come_out_as_one_packet(family: str, order: str) -> None:
    if family == "IPv4":
        packet = IP(src="10.0.0.1", dst="10.0.0.2", id=7) / udp(LARGE)
        fragments = fragment(packet, 1480)  # type: ignore[no-untyped-call]
    else:
        whole = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(id=7) / udp(LARGE)
        fragments = fragment6(whole, 1480)  # type: ignore[no-untyped-call]
    fragments = [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / each for each in fragments]
    assert len(fragments) > 5
    if order == "reversed":
        fragments.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(fragments)
    elif order == "every one twice":
        fragments = [each for each in fragments for _ in range(2)]
    (packet,) = through(fragments)
    assert bytes(packet[Chitchat]) == LARGE
    assert IPv6ExtHdrFragment not in packet
    again = Ether(bytes(packet))
    assert bytes(again[Chitchat]) == LARGE
    assert again[UDP].len == len(LARGE) + 8
    if family == "IPv4":
        assert (again[IP].len, int(again[IP].flags), again[IP].frag) == (len(LARGE) + 28, 0, 0)


def test_a_session_counts_what_it_meets() -> None:
    session = ChitchatSession()
    first, *rest = fragment(IP(id=1) / udp(LARGE), 1480)  # type: ignore[no-untyped-call]
    through([first, *rest, in_ipv4(b"hello", dport=53)], session)
    assert (session.counters.fragments, session.counters.reassembled, session.counters.other) == (len(rest) + 1, 1, 1)


def test_messages_from_a_socket_need_no_root() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as receiver, socket.socket(type=socket.SOCK_DGRAM) as sender:
        receiver.bind(("127.0.0.1", 0))
        sniffer = AsyncSniffer(opened_socket=StreamSocket(receiver, Chitchat), session=ChitchatSession, count=2)
        sniffer.start()
        for data in (SMALL, LARGE):
            sender.sendto(data, receiver.getsockname())
        sniffer.join(timeout=PATIENCE)
        assert [bytes(packet) for packet in sniffer.results or ()] == [SMALL, LARGE]


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing on an interface needs root")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_live_messages_come_off_an_interface(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    port = free_port(host)
    seen: list[bytes] = []
    sniffer = AsyncSniffer(
        iface="lo",
        session=ChitchatSession(ports=[port]),
        prn=lambda packet: seen.append(bytes(packet[Chitchat])),
        store=False,
        stop_filter=lambda packet: SMALL in seen and LARGE in seen,
    )
    deadline = time.monotonic() + PATIENCE
    sniffer.start()
    with socket.socket(family, socket.SOCK_DGRAM) as receiver, socket.socket(family, socket.SOCK_DGRAM) as sender:
        receiver.bind((host, port))
        assert sniffer.thread
        while sniffer.thread.is_alive() and time.monotonic() < deadline:
            sender.sendto(LARGE, (host, port))
            sender.sendto(SMALL, (host, port))
            time.sleep(0.1)
    assert {SMALL, LARGE} == set(seen)
