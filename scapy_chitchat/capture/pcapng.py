# SPDX-License-Identifier: GPL-2.0-or-later
"""The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks; packets belong to interfaces of their section.

Blocks that hold no packet are passed over without being kept. Frames are numbered as Wireshark numbers them: some
blocks that are no packets count there, too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from scapy_chitchat.capture.frame import LARGEST_FRAME, Frame
from scapy_chitchat.capture.sources import CaptureError, Feed

LARGEST_BLOCK = 1 << 27
"""A block that is said to be longer is damage."""
_KEPT = LARGEST_FRAME + 64
"""Bytes of a block that are kept: a frame and what stands before it."""

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_SECTION_HEADER = 28
_SMALLEST_BLOCK = 12
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}

_END, _RESOLUTION, _OFFSET = 0, 9, 14
"""Options of an interface: how finely it tells the time, and the seconds to be added to it."""


class _Interface(NamedTuple):
    linktype: int
    snap_length: int
    decimals: int
    shift: int
    """Ticks are this power of two to the second; 0 where they are a power of ten."""
    offset: int
    """To be added to a time, in units of ``decimals``."""


def pcapng_frames(feed: Feed) -> Iterator[Frame]:
    """The frames of a capture whose first bytes are known to be those of a pcapng file.

    Raises CaptureError for less than a section header at once, for what ends too early or makes no sense while
    iterating.
    """
    buffer = feed.more(feed.start, _SECTION_HEADER)
    if len(buffer) < _SECTION_HEADER or buffer[8:12] not in _ORDERS:
        raise CaptureError(f"{feed.name}: no pcap or pcapng capture")
    return _Blocks(feed, buffer).frames()


class _Blocks:
    """The blocks of a file, one after the other."""

    def __init__(self, feed: Feed, buffer: bytes) -> None:
        self._feed = feed
        self._buffer = buffer
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._number = 0

    def frames(self) -> Iterator[Frame]:
        """The packets among them."""
        feed, buffer, at, size = self._feed, self._buffer, 0, len(self._buffer)
        head = struct.Struct("<II").unpack_from
        packet = struct.Struct("<IIIII").unpack_from
        while True:
            if at + _SMALLEST_BLOCK > size:
                buffer, at = feed.more(buffer[at:], _SMALLEST_BLOCK), 0
                size = len(buffer)
                if size < _SMALLEST_BLOCK:
                    if size or feed.trouble:
                        raise feed.error(self._number)
                    return
            kind, total = head(buffer, at)
            if kind == _SECTION:
                self._begin_section(buffer[at + 8 : at + 12])
                head = struct.Struct(self._order + "II").unpack_from
                packet = struct.Struct(self._order + "IIIII").unpack_from
                kind, total = head(buffer, at)
            kept = total if total < _KEPT else self._kept(total)
            if at + kept > size:
                buffer, at = feed.more(buffer[at:], kept), 0
                size = len(buffer)
                if size < kept:
                    raise feed.error(self._number)
            end = at + total
            if (
                total & 3
                or total < _SMALLEST_BLOCK
                or (kept == total and buffer[end - 4 : end] != buffer[at + 4 : at + 8])
            ):
                raise feed.error(self._number, "is damaged")
            if kind == _PACKET:
                if total < 32:
                    raise feed.error(self._number, "is damaged")
                index, high, low, captured, length = packet(buffer, at + 8)
                yield self._frame(buffer, at + 28, index, high << 32 | low, min(captured, total - 32), length)
            else:
                found = self._other(kind, buffer[at : at + kept], total)
                if found:
                    yield found
            at = end
            if at > size:
                if not feed.skip(at - size):
                    raise feed.error(self._number)
                buffer, at, size = b"", 0, 0

    def _kept(self, total: int) -> int:
        if total > LARGEST_BLOCK:
            raise self._feed.error(self._number, "is damaged")
        return _KEPT

    def _begin_section(self, magic: bytes) -> None:
        if magic not in _ORDERS:
            raise self._feed.error(self._number, "is damaged")
        self._order = _ORDERS[magic]
        self._interfaces = []

    def _other(self, kind: int, block: bytes, total: int) -> Frame | None:
        """What a block means that is no enhanced packet; the frame that it is, if it is one."""
        order = self._order
        if kind == _INTERFACE and total >= 20:
            self._interfaces.append(_interface(block, order))
        elif kind == _SIMPLE_PACKET and total >= 16:
            (length,) = struct.unpack_from(order + "I", block, 8)
            snap = self._interfaces[0].snap_length if self._interfaces else 0
            return self._frame(block, 12, 0, None, min(length, snap or length, total - 16), length)
        elif kind == _OLD_PACKET and total >= 32:
            index, _, high, low, captured, length = struct.unpack_from(order + "HHIIII", block, 8)
            return self._frame(block, 28, index, high << 32 | low, min(captured, total - 32), length)
        elif kind in _COUNTED:
            self._number += 1
        return None

    def _frame(self, block: bytes, at: int, index: int, ticks: int | None, captured: int, length: int) -> Frame:
        try:
            linktype, _, decimals, shift, offset = self._interfaces[index]
        except IndexError:
            what = f"has a packet of interface {index}, which its section does not describe,"
            raise self._feed.error(self._number, what) from None
        self._number += 1
        if ticks is None:
            time = 0
        elif shift:
            time = (ticks * 10**decimals >> shift) + offset
        else:
            time = ticks + offset
        data = block[at : at + min(captured, LARGEST_FRAME)]
        return Frame(self._number, time, decimals, linktype, data, length, index)


_COUNTED = frozenset({9, 0x204, 0x216, 0x221, 0x0BAD, 0x40000BAD})
"""Blocks that Wireshark shows as frames: journal entries of systemd, events of Sysdig, custom blocks."""


def _interface(block: bytes, order: str) -> _Interface:
    linktype, snap_length = struct.unpack_from(order + "HxxI", block, 8)
    resolution, offset = 6, 0
    for code, value in _options(block[16:-4], order):
        if code == _RESOLUTION and value:
            resolution = value[0]
        elif code == _OFFSET and len(value) == 8:
            (offset,) = struct.unpack(order + "q", value)
    if resolution & 0x80:
        return _Interface(linktype, snap_length, 9, resolution & 0x7F, offset * 10**9)
    return _Interface(linktype, snap_length, resolution, 0, offset * 10**resolution)


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """The options of a block, as far as they go."""
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from(order + "HH", data, at)
        if code == _END:
            return
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
