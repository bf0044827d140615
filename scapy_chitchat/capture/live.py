# SPDX-License-Identifier: GPL-2.0-or-later
"""From an interface to frames: a packet socket of Linux, without a Scapy packet on the way.

The kernel filters, stamps the time and counts what it had to drop. Its buffer is what keeps a burst, so it is as large
as we may have it. On loopback every packet passes twice, out and in; only the second is taken, as libpcap does.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection, Iterator
from types import TracebackType

from scapy_chitchat.capture.frame import LARGEST_FRAME
from scapy_chitchat.capture.frames import CaptureError, Frame
from scapy_chitchat.net.interfaces import ETHERNET_HARDWARE, LOOPBACK_HARDWARE, hardware
from scapy_chitchat.net.numbers import ETHERNET, PROTOCOL_UDP, RAW_IP

ANY = "any"
"""The name that stands for all interfaces, as for tcpdump."""
RECEIVE_BUFFER = 128 * 1024 * 1024
"""Bytes that the kernel is asked to keep for us; a small message takes about 1 kB there, with its bookkeeping."""
IDLE_SECONDS = 0.1
"""Seconds that a read waits for a frame at the most."""

# --- what Python's socket module has no names for ---

_SO_RCVBUFFORCE = 33
_SO_ATTACH_FILTER = 26
_SO_TIMESTAMPNS = 35
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_ALL_PROTOCOLS = 0x0003
_TIMESPEC = struct.Struct("@ll")


# --- the kernel's filter ---

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_HALF_AT_X = 0x20, 0x28, 0x30, 0x48
_AND, _SHIFT_LEFT, _TO_X, _RETURN, _IF_EQUAL, _IF_SET = 0x54, 0x64, 0x07, 0x06, 0x15, 0x45
_PROTOCOL, _PACKET_TYPE, _HARDWARE = 0xFFFFF000, 0xFFFFF004, 0xFFFFF01C  # what the kernel knows beside the bytes
_IP = 0xFFF00000  # offsets from here count from the IP header, whatever the link layer
_OUTGOING = 4
_VLANS = (0x8100, 0x88A8)
_FRAGMENT = 44
_OTHER_EXTENSIONS = (0, 43, 51, 60)
_MOST_PORTS = 50


class _Filter:
    """A program of the classic packet filter, put together by labels."""

    def __init__(self) -> None:
        self.code: list[tuple[int, int, str, str]] = []
        self.labels: dict[str, int] = {}

    def add(self, operation: int, value: int = 0, then: str = "", otherwise: str = "") -> None:
        """An instruction; ``then`` and ``otherwise`` are where a comparison goes on, by default behind it."""
        self.code.append((operation, value, then, otherwise))

    def label(self, name: str) -> None:
        """A place to go to."""
        self.labels[name] = len(self.code)

    def compare(self, values: Collection[int], then: str) -> None:
        """Go to ``then`` if what was loaded is one of these."""
        for value in values:
            self.add(_IF_EQUAL, value, then)

    def program(self) -> bytes:
        """The instructions as the kernel wants them."""
        out = b""
        for place, (operation, value, *targets) in enumerate(self.code):
            jumps = [self.labels[name] - place - 1 if name else 0 for name in targets]
            out += struct.pack("@HBBI", operation, *jumps, value)
        return out


def udp_filter(ports: Collection[int] = ()) -> bytes:
    """A program that takes UDP datagrams from or to one of these ports, or all, and every fragment of UDP.

    Packets behind a VLAN tag that the kernel has not taken off are all taken.
    """
    if len(ports) > _MOST_PORTS:
        ports = ()
    code = _Filter()
    code.add(_LOAD_WORD, _HARDWARE)
    code.add(_IF_EQUAL, LOOPBACK_HARDWARE, "", "any way")
    code.add(_LOAD_WORD, _PACKET_TYPE)
    code.add(_IF_EQUAL, _OUTGOING, "drop")
    code.label("any way")
    code.add(_LOAD_WORD, _PROTOCOL)
    code.compare([0x86DD], "IPv6")
    code.compare(_VLANS, "take")
    code.add(_IF_EQUAL, 0x0800, "", "drop")
    code.add(_LOAD_BYTE, _IP + 9)
    code.add(_IF_EQUAL, PROTOCOL_UDP, "", "drop")
    code.add(_LOAD_HALF, _IP + 6)
    code.add(_IF_SET, 0x1FFF, "take")
    code.add(_LOAD_BYTE, _IP)
    code.add(_AND, 15)
    code.add(_SHIFT_LEFT, 2)
    code.add(_TO_X)
    _compare_ports(code, _LOAD_HALF_AT_X, _IP, ports)
    code.label("IPv6")
    code.add(_LOAD_BYTE, _IP + 6)
    code.compare((_FRAGMENT, *_OTHER_EXTENSIONS), "take")
    code.add(_IF_EQUAL, PROTOCOL_UDP, "", "drop")
    _compare_ports(code, _LOAD_HALF, _IP + 40, ports)
    code.label("drop")
    code.add(_RETURN, 0)
    code.label("take")
    code.add(_RETURN, LARGEST_FRAME)
    return code.program()


def _compare_ports(code: _Filter, load: int, place: int, ports: Collection[int]) -> None:
    """Take it if one of its ports is one of these, or if there are none; otherwise drop it."""
    for offset in (0, 2) if ports else ():
        code.add(load, place + offset)
        code.compare(sorted(ports), "take")
    code.add(_RETURN, 0 if ports else LARGEST_FRAME)


# --- interfaces ---


class Interface:
    """The frames of UDP datagrams that pass an interface: an iterator without an end, and a context manager.

    While nothing comes it gives None, from time to time. ``ports`` as for ``udp_filter``. Raises CaptureError where
    there is no such interface, or it goes down, and PermissionError where we may not capture.
    """

    def __init__(self, name: str, ports: Collection[int] = ()) -> None:
        if not hasattr(socket, "AF_PACKET"):
            raise CaptureError("only Linux has packet sockets; elsewhere: tcpdump -w - udp | scapy-chitchat read -")
        self.name = name
        self.linktype = ETHERNET if name != ANY and _has_ethernet_headers(name) else RAW_IP
        self._taken = self._dropped = 0
        kind = socket.SOCK_RAW if self.linktype == ETHERNET else socket.SOCK_DGRAM
        # of no protocol until it is bound, so that nothing comes before the filter; all interfaces cannot be bound to
        self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(_ALL_PROTOCOLS) if name == ANY else 0)
        try:
            self._prepare(udp_filter(ports))
            if name == ANY:
                self._forget_what_came()
            else:
                self._socket.bind((name, _ALL_PROTOCOLS))
        except BaseException:
            self._socket.close()
            raise

    def _prepare(self, program: bytes) -> None:
        made = self._socket
        kept = ctypes.create_string_buffer(program)
        count = len(program) // 8
        made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", count, ctypes.addressof(kept)))
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, int(IDLE_SECONDS * 1_000_000)))
        try:
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def _forget_what_came(self) -> None:
        try:
            while True:
                self._socket.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self.statistics()
            self._taken = self._dropped = 0

    def __iter__(self) -> Iterator[Frame | None]:
        buffer = memoryview(bytearray(LARGEST_FRAME))
        room = socket.CMSG_SPACE(_TIMESPEC.size)
        receive, into = self._socket.recvmsg_into, [buffer]
        seconds_and_rest, linktype = _TIMESPEC.unpack, self.linktype
        number, flags = 0, int(socket.MSG_DONTWAIT)
        while True:
            try:
                size, notes, _, _ = receive(into, room, flags | socket.MSG_TRUNC)
            except BlockingIOError:
                yield None  # and then wait for a moment
                flags = 0
                continue
            except OSError as error:
                raise CaptureError(f"{self.name}: {error.strerror}") from None
            flags = socket.MSG_DONTWAIT
            number += 1
            seconds, rest = seconds_and_rest(notes[0][2])
            data = bytes(buffer[:size])
            yield Frame(number, seconds * 1_000_000_000 + rest, 9, linktype, data, size)

    def statistics(self) -> tuple[int, int]:
        """How many frames passed the filter, and how many of these the kernel dropped because we were too slow."""
        taken, dropped = struct.unpack("@II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._taken += taken  # the kernel counts from the last question on
        self._dropped += dropped
        return self._taken, self._dropped

    def close(self) -> None:
        """Stop capturing."""
        self._socket.close()

    def __enter__(self) -> Interface:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _has_ethernet_headers(name: str) -> bool:
    """Whether its frames have Ethernet headers. Raises CaptureError where there is no interface of this name."""
    try:
        return hardware(name) in (ETHERNET_HARDWARE, LOOPBACK_HARDWARE)
    except OSError:
        names = ", ".join(sorted(name for _, name in socket.if_nameindex()))
        raise CaptureError(f"{name}: no such interface; there are {names}, and {ANY} for all") from None
