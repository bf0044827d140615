# SPDX-License-Identifier: GPL-2.0-or-later
"""Datagrams as IP packets, whole or in fragments. No Scapy packet is made: a million of them must be quick."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from scapy_chitchat.net.addresses import address_bytes
from scapy_chitchat.net.numbers import PROTOCOL_UDP

"""The number of the protocol in an IP header."""


class Endpoints(NamedTuple):
    """Who sends to whom. Both addresses are of the same family."""

    source: str
    source_port: int
    destination: str
    destination_port: int


def _checksum(data: bytes) -> int:
    """The Internet checksum: the number that the bytes are, modulo 65,535, is their sum in one's complement."""
    padded = data + b"\0" if len(data) % 2 else data
    return 0xFFFF - (int.from_bytes(padded, "big") % 0xFFFF)


def udp_segment(ends: Endpoints, data: bytes) -> bytes:
    """The UDP header with its checksum, and the data."""
    source, destination = address_bytes(ends.source), address_bytes(ends.destination)
    length = 8 + len(data)
    header = struct.pack(">HHH", ends.source_port, ends.destination_port, length)
    pseudo = source + destination + struct.pack(">II", length, PROTOCOL_UDP)
    checksum = _checksum(pseudo + header + b"\0\0" + data)
    return header + struct.pack(">H", checksum or 0xFFFF) + data


def ip_packets(ends: Endpoints, data: bytes, ident: int, mtu: int = 65535 + 40) -> Iterator[bytes]:
    """The IP packets of a datagram: one, or fragments of at most ``mtu`` bytes."""
    segment = udp_segment(ends, data)
    if ":" in ends.source:
        yield from _ipv6(ends, segment, ident, mtu)
    else:
        yield from _ipv4(ends, segment, ident, mtu)


def _ipv4(ends: Endpoints, segment: bytes, ident: int, mtu: int) -> Iterator[bytes]:
    addresses = address_bytes(ends.source) + address_bytes(ends.destination)
    room = (mtu - 20) // 8 * 8 if len(segment) + 20 > mtu else len(segment)
    for start in range(0, len(segment), room):
        piece = segment[start : start + room]
        place = start // 8 | (0x2000 if start + room < len(segment) else 0)
        head = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(piece), ident & 0xFFFF, place, 64, PROTOCOL_UDP)
        checksum = _checksum(head + b"\0\0" + addresses)
        yield head + struct.pack(">H", checksum) + addresses + piece


def _ipv6(ends: Endpoints, segment: bytes, ident: int, mtu: int) -> Iterator[bytes]:
    addresses = address_bytes(ends.source) + address_bytes(ends.destination)
    if len(segment) + 40 <= mtu:
        yield struct.pack(">IHBB", 6 << 28, len(segment), PROTOCOL_UDP, 64) + addresses + segment
        return
    room = (mtu - 48) // 8 * 8
    for start in range(0, len(segment), room):
        piece = segment[start : start + room]
        place = start | (1 if start + room < len(segment) else 0)
        fragment = struct.pack(">BBHI", PROTOCOL_UDP, 0, place, ident & 0xFFFFFFFF)
        yield struct.pack(">IHBB", 6 << 28, 8 + len(piece), 44, 64) + addresses + fragment + piece
