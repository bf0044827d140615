# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages as IP packets, and packets in a capture file.

What replay sends whole or writes, and the fuzzer's cases. No Scapy packet is made: a million of them must be quick.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from scapy_chitchat.fields import address_bytes

UDP = 17
RAW_IP = 101
"""The link type of a capture whose frames are IP packets."""


class Endpoints(NamedTuple):
    """Who sends to whom. Both addresses are of the same family."""

    source: str
    source_port: int
    destination: str
    destination_port: int


# --- packets ---


def _checksum(data: bytes) -> int:
    """The Internet checksum: the number that the bytes are, modulo 65,535, is their sum in one's complement."""
    padded = data + b"\0" if len(data) % 2 else data
    return 0xFFFF - (int.from_bytes(padded, "big") % 0xFFFF)


def udp_segment(ends: Endpoints, data: bytes) -> bytes:
    """The UDP header with its checksum, and the data."""
    source, destination = address_bytes(ends.source), address_bytes(ends.destination)
    length = 8 + len(data)
    header = struct.pack(">HHH", ends.source_port, ends.destination_port, length)
    pseudo = source + destination + struct.pack(">II", length, UDP)
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
        head = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(piece), ident & 0xFFFF, place, 64, UDP)
        checksum = _checksum(head + b"\0\0" + addresses)
        yield head + struct.pack(">H", checksum) + addresses + piece


def _ipv6(ends: Endpoints, segment: bytes, ident: int, mtu: int) -> Iterator[bytes]:
    addresses = address_bytes(ends.source) + address_bytes(ends.destination)
    if len(segment) + 40 <= mtu:
        yield struct.pack(">IHBB", 6 << 28, len(segment), UDP, 64) + addresses + segment
        return
    room = (mtu - 48) // 8 * 8
    for start in range(0, len(segment), room):
        piece = segment[start : start + room]
        place = start | (1 if start + room < len(segment) else 0)
        fragment = struct.pack(">BBHI", UDP, 0, place, ident & 0xFFFFFFFF)
        yield struct.pack(">IHBB", 6 << 28, 8 + len(piece), 44, 64) + addresses + fragment + piece


# --- capture files ---

_SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
_NANOSECONDS = struct.pack("<HHBxxxHH", 9, 1, 9, 0, 0)
_COMMENT = 1

LAST_MOMENT = 2**64 - 1
"""Nanoseconds since the epoch that a pcapng file can hold."""


def _interface(linktype: int) -> bytes:
    size = 20 + len(_NANOSECONDS)
    return struct.pack("<IIHHI", 1, size, linktype, 0, 0) + _NANOSECONDS + struct.pack("<I", size)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


class CaptureWriter:
    """A pcapng file of packets, each with a comment where there is something to say. A context manager.

    ``linktype``: what the packets begin with, IP unless given.
    """

    def __init__(self, path: str | PathLike[str], linktype: int = RAW_IP) -> None:
        self._file = Path(path).open("wb")  # noqa: SIM115
        self._file.write(_SECTION + _interface(linktype))
        self.packets = 0

    def write(self, packet: bytes, nanoseconds: int, comment: str = "") -> None:
        """One packet, its time since the epoch, and what Wireshark shows as ``frame.comment``.

        A time beyond what 64 bits of nanoseconds hold (the year 2554) is written as the last one that they do.
        """
        options = b""
        if comment:
            text = comment.encode()
            options = struct.pack("<HH", _COMMENT, len(text)) + _padded(text) + b"\0\0\0\0"
        size = 32 + len(packet) + (-len(packet) % 4) + len(options)
        high, low = divmod(min(max(nanoseconds, 0), LAST_MOMENT), 1 << 32)
        head = struct.pack("<IIIIIII", 6, size, 0, high, low, len(packet), len(packet))
        self._file.write(b"".join((head, _padded(packet), options, struct.pack("<I", size))))
        self.packets += 1

    def datagram(self, ends: Endpoints, data: bytes, nanoseconds: int, comment: str = "") -> None:
        """A datagram as one IP packet."""
        for packet in ip_packets(ends, data, self.packets + 1):
            self.write(packet, nanoseconds, comment)

    def flush(self) -> None:
        """Let nothing stay in a buffer."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
