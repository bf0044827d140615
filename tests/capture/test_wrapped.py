# SPDX-License-Identifier: GPL-2.0-or-later
"""Tunnels and link types, each built with Scapy: read, the session, and tshark with the dissector."""

from __future__ import annotations

import io
import struct

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw
from scapy.sendrecv import sniff

from scapy_chitchat import ChitchatSession, read_messages
from scapy_chitchat.capture import Counters, notes
from scapy_chitchat.capture.datagrams import MOST_TUNNELS
from scapy_chitchat.capture.links import LINKS, UNREAD
from scapy_chitchat.capture.tunnels import OVER_IPV4, PORTS
from scapy_chitchat.integration.captures import CaptureSocket
from tests.support.wrapped import SYN, Wrapped, inner4, links, outer, over_ip, tunnels

ALL = tunnels() + links()


def capture(linktype: int, *frames: bytes) -> bytes:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype)
    return head + b"".join(struct.pack("<IIII", 1_700_000_000, 0, len(each), len(each)) + each for each in frames)


@pytest.mark.parametrize("wrapped", ALL, ids=lambda each: each.name)
def test_the_message_is_found_with_the_inner_addresses(wrapped: Wrapped) -> None:
    found = list(read_messages(io.BytesIO(capture(wrapped.linktype, wrapped.frame))))
    assert [(each.data, each.source, each.tunnel) for each in found] == [(SYN, wrapped.source, wrapped.tunnel)]


@pytest.mark.parametrize("wrapped", ALL, ids=lambda each: each.name)
def test_the_session_finds_it_too(wrapped: Wrapped) -> None:
    data = io.BytesIO(capture(wrapped.linktype, wrapped.frame))
    (found,) = sniff(opened_socket=CaptureSocket(data), session=ChitchatSession, quiet=True)
    assert bytes(found["Chitchat"]).startswith(SYN)
    assert tuple(text.decode() for text in found.comments or ()) == wrapped.tunnel


@pytest.mark.parametrize("wrapped", ALL, ids=lambda each: each.name)
def test_every_shorter_frame_is_passed_over_without_an_exception(wrapped: Wrapped) -> None:
    frames = [wrapped.frame[:size] for size in range(len(wrapped.frame))]
    for each in read_messages(io.BytesIO(capture(wrapped.linktype, *frames))):
        assert each.datagram.cut or each.data == SYN


def test_every_row_of_the_tables_is_tried() -> None:
    assert {each.linktype for each in ALL} >= set(LINKS) - {12, 14, 100, 119, 122, 166, 206, 229, 241}
    assert not set(LINKS) & set(UNREAD)
    assert len(tunnels()) >= len(PORTS) + len(OVER_IPV4)


def test_tunnels_are_followed_to_a_bounded_depth() -> None:
    counters = Counters()
    assert list(read_messages(io.BytesIO(capture(1, _nested(MOST_TUNNELS + 1))), counters=counters)) == []
    assert counters.too_deep == 1
    assert "more tunnels than are followed" in "\n".join(notes(counters))
    (found,) = read_messages(io.BytesIO(capture(1, _nested(MOST_TUNNELS))))
    assert len(found.tunnel) == MOST_TUNNELS


def _nested(depth: int) -> bytes:
    packet = inner4()
    for _ in range(depth):
        packet = outer()[IP].copy() / packet
    return bytes(outer().copy())[:14] + bytes(packet)


def test_an_unknown_inside_is_named() -> None:
    strange: Packet = outer() / Raw(bytes.fromhex("0000ffaa") + b"x" * 20)
    strange[IP].proto = 47
    counters = Counters()
    assert list(read_messages(io.BytesIO(capture(1, bytes(strange))), counters=counters)) == []
    assert list(notes(counters)) == ["1 packet of GRE with protocol 0xffaa, whose inside cannot be read"]


def test_a_message_to_a_tunnels_port_is_a_message() -> None:
    frame = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=4789, dport=8472) / Raw(SYN))
    (found,) = read_messages(io.BytesIO(capture(101, frame)))
    assert (found.data, found.tunnel) == (SYN, ())


def wireless(control: int, flags: int) -> bytes:
    """An 802.11 frame with SNAP and IP behind 24 bytes of header, whatever the header says."""
    return bytes([control, flags, 0, 0]) + bytes(20) + bytes.fromhex("aaaa03000000 0800") + bytes(inner4())


def gre(flags: int, kind: int = 0x0800) -> bytes:
    return bytes(over_ip(47, struct.pack(">HH", flags, kind), inner4()))


NOT_OPENED = {
    "GRE of a version that does not exist": (1, gre(2)),
    "GRE with a source route": (1, gre(0x4000)),
    "GRE of version 1 without PPP": (1, gre(1)),
    "802.11 that is encrypted": (105, wireless(0x08, 0x40)),
    "802.11 that manages": (105, wireless(0x00, 0)),
    "802.11 that controls": (105, wireless(0x04, 0)),
    "802.11 without data": (105, wireless(0x48, 0)),
}


@pytest.mark.parametrize("name", NOT_OPENED)
def test_what_says_that_it_holds_no_packet_is_not_opened(name: str) -> None:
    linktype, frame = NOT_OPENED[name]
    assert list(read_messages(io.BytesIO(capture(linktype, frame)))) == []


def test_without_what_keeps_them_shut_they_are_opened() -> None:
    for linktype, frame in ((1, gre(0)), (105, wireless(0x08, 0))):
        (found,) = read_messages(io.BytesIO(capture(linktype, frame)))
        assert found.data == SYN
