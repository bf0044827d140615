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
from scapy_chitchat.capture.steps import ETHERTYPES
from scapy_chitchat.capture.tunnels import OVER_IPV4, OVER_IPV6, PORTS, VXLAN_START
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

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_WORD_AT_X, _LOAD_HALF_AT_X = 0x20, 0x28, 0x30, 0x40, 0x48
_AND, _SHIFT_LEFT, _TO_X, _RETURN, _IF_EQUAL, _IF_SET = 0x54, 0x64, 0x07, 0x06, 0x15, 0x45
_PROTOCOL, _PACKET_TYPE, _HARDWARE = 0xFFFFF000, 0xFFFFF004, 0xFFFFF01C  # what the kernel knows beside the bytes
_IP = 0xFFF00000  # offsets from here count from the IP header, whatever the link layer
_OUTGOING = 4
_VLANS = (0x8100, 0x88A8)
_IPV4, _IPV6 = 0x0800, 0x86DD
_FRAGMENT, _AUTHENTICATION = 44, 51
_OTHER_EXTENSIONS = (0, 43, _AUTHENTICATION, 60)
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


def udp_filter(ports: Collection[int] = (), *, tunnels: bool = False, ethernet: bool = True) -> bytes:
    """A program that takes UDP datagrams from or to one of these ports, or all, and every fragment of UDP.

    Packets behind a VLAN tag that the kernel has not taken off are all taken. ``tunnels``: every packet of a tunnel is
    taken, too, as tunnels.py knows them: by EtherType (where there are headers that have one: ``ethernet``), IP
    protocol, UDP port, and VXLAN by its header.
    """
    if len(ports) > _MOST_PORTS:
        ports = ()
    announced = set(_VLANS)
    if tunnels and ethernet:
        announced |= set(ETHERTYPES) - {_IPV4, _IPV6}
    code = _Filter()
    code.add(_LOAD_WORD, _HARDWARE)
    code.add(_IF_EQUAL, LOOPBACK_HARDWARE, "", "any way")
    code.add(_LOAD_WORD, _PACKET_TYPE)
    code.add(_IF_EQUAL, _OUTGOING, "drop IPv4")
    code.label("any way")
    code.add(_LOAD_WORD, _PROTOCOL)
    code.compare([_IPV6], "IPv6")
    code.compare(sorted(announced), "take IPv4")
    code.add(_IF_EQUAL, _IPV4, "", "drop IPv4")
    code.add(_LOAD_BYTE, _IP + 9)
    code.compare(sorted({*OVER_IPV4, _AUTHENTICATION}) if tunnels else (), "take IPv4")
    code.add(_IF_EQUAL, PROTOCOL_UDP, "", "drop IPv4")
    code.add(_LOAD_HALF, _IP + 6)
    code.add(_IF_SET, 0x1FFF, "take IPv4")
    code.add(_LOAD_BYTE, _IP)
    code.add(_AND, 15)
    code.add(_SHIFT_LEFT, 2)
    code.add(_TO_X)
    _compare_datagram(code, "IPv4", (_LOAD_HALF_AT_X, _LOAD_WORD_AT_X), _IP, ports, tunnels)
    code.label("IPv6")
    code.add(_LOAD_BYTE, _IP + 6)
    code.compare((_FRAGMENT, *_OTHER_EXTENSIONS), "take IPv6")
    code.compare(sorted(OVER_IPV6) if tunnels else (), "take IPv6")
    code.add(_IF_EQUAL, PROTOCOL_UDP, "", "drop IPv6")
    _compare_datagram(code, "IPv6", (_LOAD_HALF, _LOAD_WORD), _IP + 40, ports, tunnels)
    return code.program()


def _compare_datagram(
    code: _Filter, name: str, loads: tuple[int, int], place: int, ports: Collection[int], tunnels: bool
) -> None:
    """Take it if one of its ports is one of these or there are none, or if it is of a tunnel; otherwise drop it.

    This is the end of the program for one version of IP: a jump reaches no further than 255 instructions.
    """
    half, word = loads
    wanted = {*ports, *(PORTS if tunnels else ())}
    for offset in (0, 2) if ports else ():
        code.add(half, place + offset)
        code.compare(sorted(wanted), f"take {name}")
    if not ports:
        code.add(_RETURN, LARGEST_FRAME)
    elif tunnels:
        code.add(word, place + 8)
        code.compare([int.from_bytes(VXLAN_START, "big")], f"take {name}")
    code.label(f"drop {name}")
    code.add(_RETURN, 0)
    code.label(f"take {name}")
    code.add(_RETURN, LARGEST_FRAME)


# --- interfaces ---


class Interface:
    """The frames of UDP datagrams that pass an interface: an iterator without an end, and a context manager.

    While nothing comes it gives None, from time to time. ``ports``, ``tunnels``: as for ``udp_filter``. Raises
    CaptureError where there is no such interface, or it goes down, and PermissionError where we may not capture.
    """

    def __init__(self, name: str, ports: Collection[int] = (), *, tunnels: bool = False) -> None:
        if not hasattr(socket, "AF_PACKET"):
            raise CaptureError("only Linux has packet sockets; elsewhere: tcpdump -w - udp | scapy-chitchat read -")
        self.name = name
        self.linktype = ETHERNET if name != ANY and _has_ethernet_headers(name) else RAW_IP
        self._taken = self._dropped = 0
        kind = socket.SOCK_RAW if self.linktype == ETHERNET else socket.SOCK_DGRAM
        # of no protocol until it is bound, so that nothing comes before the filter; all interfaces cannot be bound to
        self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(_ALL_PROTOCOLS) if name == ANY else 0)
        try:
            self._prepare(udp_filter(ports, tunnels=tunnels, ethernet=self.linktype == ETHERNET))
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
        seconds_and_rest, linktype, made = _TIMESPEC.unpack, self.linktype, Frame._make  # cheaper than a call
        # as plain numbers: sums of Python's named flags cost more than the rest of a turn
        wait, at_once = int(socket.MSG_TRUNC), int(socket.MSG_TRUNC | socket.MSG_DONTWAIT)
        number, flags = 0, at_once
        while True:
            try:
                size, notes, _, _ = receive(into, room, flags)
            except BlockingIOError:
                yield None  # and then wait for a moment
                flags = wait
                continue
            except OSError as error:
                raise CaptureError(f"{self.name}: {error.strerror}") from None
            flags = at_once
            number += 1
            seconds, rest = seconds_and_rest(notes[0][2])
            data = buffer[:size].tobytes()
            yield made((number, seconds * 1_000_000_000 + rest, 9, linktype, data, size, 0))

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
