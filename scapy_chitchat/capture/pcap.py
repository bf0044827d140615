# SPDX-License-Identifier: GPL-2.0-or-later
"""The pcap format: a header, and records of time, length and bytes. Source: pcap-savefile(5).

Kuznetzov's modified pcap has eight bytes more in each record (interface, protocol, direction), which say nothing that
we need.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from scapy_chitchat.capture.frame import LARGEST_FRAME, Frame
from scapy_chitchat.capture.sources import CaptureError, Feed

LARGEST_RECORD = 1 << 27
"""A record that is said to be longer is damage."""
HEADER_SIZE = 24
"""Bytes at the start of a file, before its first record."""
_LINKTYPE = 0xFFFF
"""The upper bits of the link type tell of check sequences behind the frames, which the IP lengths tell as well."""


class _Shape(NamedTuple):
    order: str
    decimals: int
    record: int
    """Bytes of the header of a record."""


_SHAPES = {
    b"\xd4\xc3\xb2\xa1": _Shape("<", 6, 16),
    b"\xa1\xb2\xc3\xd4": _Shape(">", 6, 16),
    b"\x4d\x3c\xb2\xa1": _Shape("<", 9, 16),
    b"\xa1\xb2\x3c\x4d": _Shape(">", 9, 16),
    b"\x34\xcd\xb2\xa1": _Shape("<", 6, 24),
    b"\xa1\xb2\xcd\x34": _Shape(">", 6, 24),
}


def pcap_frames(feed: Feed) -> Iterator[Frame]:
    """The frames of a capture whose first bytes are known to be those of a pcap file.

    Raises CaptureError for less than a header at once, for what ends too early while iterating.
    """
    buffer = feed.more(feed.start, HEADER_SIZE)
    if len(buffer) < HEADER_SIZE:
        raise CaptureError(f"{feed.name}: no pcap or pcapng capture")
    shape = _SHAPES[buffer[:4]]
    (network,) = struct.unpack_from(shape.order + "I", buffer, 20)
    return _records(feed, buffer, shape, network & _LINKTYPE)


def _records(feed: Feed, buffer: bytes, shape: _Shape, linktype: int) -> Iterator[Frame]:
    decimals, head = shape.decimals, shape.record
    unit = 10**decimals
    unpack = struct.Struct(shape.order + "IIII").unpack_from
    number, at, size = 0, HEADER_SIZE, len(buffer)
    while True:
        if at + head > size:
            buffer, at = feed.more(buffer[at:], head), 0
            size = len(buffer)
            if size < head:
                if size or feed.trouble:
                    raise feed.error(number)
                return
        seconds, rest, captured, length = unpack(buffer, at)
        at += head
        end = at + captured
        if end > size:
            if captured > LARGEST_RECORD:
                raise feed.error(number, "is damaged")
            kept = min(captured, LARGEST_FRAME)
            buffer, at = feed.more(buffer[at:], kept), 0
            size, end = len(buffer), captured
            if size < kept or (end > size and not feed.skip(end - size)):
                raise feed.error(number)
        number += 1
        yield Frame(
            number, seconds * unit + rest, decimals, linktype, buffer[at : min(end, at + LARGEST_FRAME)], length
        )
        at = end
        if at > size:
            buffer, at, size = b"", 0, 0
