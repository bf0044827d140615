# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets in a capture file: what replay and sniff write, and the fuzzer's cases."""

from __future__ import annotations

import struct
from os import PathLike
from pathlib import Path
from types import TracebackType

from scapy_chitchat.capture.frame import Frame
from scapy_chitchat.net.numbers import RAW_IP
from scapy_chitchat.net.packets import Endpoints, ip_packets

_SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
_RESOLUTION = struct.Struct("<HHBxxxHH")
_NANOSECONDS = 9
_COMMENT = 1

LAST_MOMENT = 2**64 - 1
"""Nanoseconds since the epoch that a pcapng file can hold."""


def _interface(linktype: int, decimals: int) -> bytes:
    """An interface whose times are so many decimals of a second."""
    size = 20 + _RESOLUTION.size
    options = _RESOLUTION.pack(9, 1, decimals, 0, 0)
    return struct.pack("<IIHHI", 1, size, linktype, 0, 0) + options + struct.pack("<I", size)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


class CaptureWriter:
    """A pcapng file of packets, each with a comment where there is something to say. A context manager.

    ``linktype``: what the packets begin with, IP unless given.
    """

    def __init__(self, path: str | PathLike[str], linktype: int = RAW_IP) -> None:
        self._file = Path(path).open("wb")  # noqa: SIM115
        self._file.write(_SECTION)
        self._linktype = linktype
        self._interfaces: dict[tuple[int, int, int], int] = {}
        self._described = 0
        self.packets = 0

    def write(self, packet: bytes, nanoseconds: int, comment: str = "") -> None:
        """One packet, its time since the epoch, and what Wireshark shows as ``frame.comment``.

        A time beyond what 64 bits of nanoseconds hold (the year 2554) is written as the last one that they do.
        """
        options = b""
        if comment:
            text = comment.encode()
            options = struct.pack("<HH", _COMMENT, len(text)) + _padded(text) + b"\0\0\0\0"
        self._packet((self._linktype, _NANOSECONDS, 0), packet, nanoseconds, len(packet), options)

    def frame(self, frame: Frame) -> None:
        """A frame as it was captured: its bytes, its length on the wire, its time, link type and interface."""
        about = (frame.linktype, frame.decimals, frame.interface)
        self._packet(about, frame.data, frame.time, frame.length)

    def _packet(self, about: tuple[int, int, int], packet: bytes, time: int, length: int, options: bytes = b"") -> None:
        """A packet of an interface: link type, decimals of its times, and its number where it was captured."""
        interface = self._interfaces.setdefault(about, len(self._interfaces))
        if interface == self._described:
            self._described += 1
            self._file.write(_interface(*about[:2]))
        size = 32 + len(packet) + (-len(packet) % 4) + len(options)
        high, low = divmod(min(max(time, 0), LAST_MOMENT), 1 << 32)
        head = struct.pack("<IIIIIII", 6, size, interface, high, low, len(packet), length)
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
