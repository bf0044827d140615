# SPDX-License-Identifier: GPL-2.0-or-later
"""From frames to UDP datagrams.

The link layers that matter are read by offset; for any other link type Scapy dissects the frame, and only its IP part
is taken. Fragments are put together whatever their order; the first bytes to arrive for a place stay, later ones that
overlap them are dropped. What waits for missing fragments is bounded in number, in bytes and in capture time.

Checksums are not looked at: on a machine that sends, captured packets do not have them yet.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scapy_chitchat.capture.frames import Frame
from scapy_chitchat.net.addresses import address_text


class Datagram(NamedTuple):
    """One UDP datagram, put together from its fragments."""

    frame: int
    """The number of the frame that completed it."""
    time: int
    decimals: int
    source: str
    source_port: int
    destination: str
    destination_port: int
    data: bytes
    cut: bool
    """The capture holds only the first part of it."""


@dataclass
class Counters:
    """What was met on the way from frames to messages."""

    frames: int = 0
    bytes: int = 0
    fragments: int = 0
    reassembled: int = 0
    """Datagrams put together from fragments."""
    incomplete: int = 0
    """Datagrams given up on: fragments were missing for too long, or too many others waited."""
    datagrams: int = 0
    duplicates: int = 0
    """IP packets seen a second time, and dropped on request."""
    other: int = 0
    """Datagrams that are no chitchat messages."""
    old: int = 0
    """Of these, datagrams on a port of chitchat's whose first byte may be a message type of its early formats."""
    unreadable_links: set[int] = field(default_factory=set)
    """Link types that nothing here can read."""


# --- link layers ---

_ETHERTYPES = {0x0800: 4, 0x86DD: 6}
_VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
_ADDRESS_FAMILIES = {2: 4, 10: 6, 24: 6, 28: 6, 30: 6}


def _behind_ethertype(data: bytes, at: int) -> int:
    """Where the IP packet starts whose EtherType stands at ``at``, behind any VLAN tags; -1 for no IP packet."""
    kind = data[at] << 8 | data[at + 1]
    while kind in _VLAN_TAGS:
        at += 4
        kind = data[at] << 8 | data[at + 1]
    return at + 2 if kind in _ETHERTYPES else -1


def _ethernet(data: bytes) -> int:
    return _behind_ethertype(data, 12)


def _linux_cooked(data: bytes) -> int:
    return _behind_ethertype(data, 14)


def _linux_cooked_2(data: bytes) -> int:
    kind = data[0] << 8 | data[1]
    if kind in _VLAN_TAGS:
        return _behind_ethertype(data, 22)
    return 20 if kind in _ETHERTYPES else -1


def _raw_ip(data: bytes) -> int:
    return 0


def _bsd_loopback(data: bytes) -> int:
    """The address family is in the byte order of the machine that captured: one end of the four bytes is 0."""
    return 4 if (data[0] or data[3]) in _ADDRESS_FAMILIES else -1


LINK_LAYERS = {
    0: _bsd_loopback,
    1: _ethernet,
    12: _raw_ip,
    14: _raw_ip,
    101: _raw_ip,
    108: _bsd_loopback,
    113: _linux_cooked,
    228: _raw_ip,
    229: _raw_ip,
    276: _linux_cooked_2,
}
"""Link types (their numbers in captures) and how to find the IP packet in a frame of each."""


def _ip_by_scapy(linktype: int, data: bytes) -> bytes:
    """The IP packet in a frame of a link type that only Scapy can read; nothing where there is none."""
    import scapy.layers.all  # noqa: F401  (it knows the link types by being imported)
    from scapy.config import conf
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    if linktype not in conf.l2types.num2layer:
        raise LookupError(linktype)
    frame = conf.l2types.num2layer[linktype](data)
    for layer in (IP, IPv6):
        if layer in frame:
            return frame[layer].original  # type: ignore[no-any-return]
    return b""


# --- fragments ---

FRAGMENT_TIMEOUT = 30
"""Seconds of capture time that a datagram waits for missing fragments (Linux: net.ipv4.ipfrag_time)."""
MOST_WAITING = 4096
"""Datagrams that wait at a time; the oldest is given up for a new one."""
MOST_WAITING_BYTES = 64 * 1024 * 1024
"""Bytes of fragments that wait at a time."""


class _Waiting:
    """The fragments of one IP packet."""

    __slots__ = ("pieces", "received", "since", "size")

    def __init__(self, since: float) -> None:
        self.since = since
        self.pieces: dict[int, tuple[int, bytes]] = {}  # by offset: length on the wire, bytes captured
        self.received = 0
        self.size: int | None = None  # of the whole, once the last fragment is there

    def add(self, offset: int, length: int, data: bytes) -> None:
        """Keep a fragment, unless one of the same place came before that is as long."""
        known = self.pieces.get(offset)
        if known is None or known[0] < length:
            if known is not None:
                data = known[1] + data[len(known[1]) :]
                self.received -= len(known[1])
            self.pieces[offset] = (length, data)
            self.received += len(data)

    def whole(self) -> tuple[bytes, bool] | None:
        """The packet and whether the capture cut some of it away; None while a fragment is missing."""
        if self.size is None:
            return None
        out = bytearray()
        reached, cut = 0, False
        for offset in sorted(self.pieces):
            length, data = self.pieces[offset]
            if offset > reached:
                return None
            if not cut:
                out += data[reached - offset :]
                cut = len(data) < length
            reached = max(reached, offset + length)
        return (bytes(out[: self.size]), cut) if reached >= self.size else None


class Reassembler:
    """Puts IP fragments together, whatever their order."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.waiting: OrderedDict[Any, _Waiting] = OrderedDict()
        self.bytes = 0

    def add(self, key: Any, now: float, offset: int, more: bool, length: int, data: bytes) -> tuple[bytes, bool] | None:
        """One fragment. Gives the IP payload when it is complete, and whether the capture cut some of it away."""
        self.counters.fragments += 1
        self._give_up(now)
        packet = self.waiting.get(key)
        if packet is None:
            packet = self.waiting[key] = _Waiting(now)
        before = packet.received
        packet.add(offset, length, data)
        if not more and packet.size is None:
            packet.size = offset + length
        self.bytes += packet.received - before
        whole = packet.whole()
        if whole is not None:
            self._forget(key)
            self.counters.reassembled += 1
        return whole

    def _give_up(self, now: float) -> None:
        while self.waiting:
            key, oldest = next(iter(self.waiting.items()))
            late = now - oldest.since > FRAGMENT_TIMEOUT
            if not late and len(self.waiting) < MOST_WAITING and self.bytes < MOST_WAITING_BYTES:
                return
            self._forget(key)
            self.counters.incomplete += 1

    def _forget(self, key: Any) -> None:
        self.bytes -= self.waiting.pop(key).received

    def finish(self) -> None:
        """The capture is over: what still waits is incomplete."""
        self.counters.incomplete += len(self.waiting)
        self.waiting.clear()
        self.bytes = 0


# --- IP and UDP ---

_IPV4 = struct.Struct(">BxHHHxB2x4s4s").unpack_from
_IPV6 = struct.Struct(">xxxxHBx16s16s").unpack_from
_UDP = struct.Struct(">HHH").unpack_from
_PROTOCOL_UDP = 17
_FRAGMENT_HEADER = 44
_AUTHENTICATION = 51
_EXTENSION_HEADERS = {0, 43, 60, 135, 139, 140, _AUTHENTICATION}


DUPLICATE_WITHIN = 0.01
"""Seconds within which the same IP packet counts as captured twice, as happens on Linux's ``any`` device."""


class _Recent:
    """IP packets of the last moments, to know a second sight of one by."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def has(self, packet: bytes, now: float) -> bool:
        """Whether ``packet`` was seen a moment ago; what routers change (TTL, checksum) does not tell packets apart."""
        seen = self._seen
        while seen and now - next(iter(seen.values())) > DUPLICATE_WITHIN:
            seen.popitem(last=False)
        masked = packet[:8] + packet[12:] if packet[0] >> 4 == 4 else packet[:7] + packet[8:]
        if masked in seen:
            return True
        seen[masked] = now
        return False


class DatagramReader:
    """Turns frames into UDP datagrams. What it keeps between frames is the fragments that wait.

    ``drop_duplicates``: pass over an IP packet that was captured twice.
    """

    def __init__(self, counters: Counters | None = None, *, drop_duplicates: bool = False) -> None:
        self.counters = counters or Counters()
        self._reassembler = Reassembler(self.counters)
        self._recent = _Recent() if drop_duplicates else None

    def read(self, frame: Frame) -> Datagram | None:
        """The datagram that ``frame`` is or completes, if it is or does."""
        data, linktype = frame.data, frame.linktype
        self.counters.frames += 1
        self.counters.bytes += len(data)
        try:
            find = LINK_LAYERS.get(linktype)
            if find is not None:
                at = find(data)
                return self._ip(frame, data, at) if at >= 0 else None
            if linktype not in self.counters.unreadable_links:
                return self._ip(frame, _ip_by_scapy(linktype, data), 0)
        except (struct.error, IndexError):
            pass  # too short to hold what its headers promise
        except LookupError:
            self.counters.unreadable_links.add(linktype)
        return None

    def finish(self) -> None:
        """The capture is over."""
        self._reassembler.finish()

    def _ip(self, frame: Frame, data: bytes, at: int) -> Datagram | None:
        version = data[at] >> 4
        if self._recent and self._recent.has(data[at:], frame.time / 10**frame.decimals):
            self.counters.duplicates += 1
            return None
        if version == 4:
            return self._ipv4(frame, data, at)
        return self._ipv6(frame, data, at) if version == 6 else None

    def _ipv4(self, frame: Frame, data: bytes, at: int) -> Datagram | None:
        first, total, ident, place, protocol, source, destination = _IPV4(data, at)
        if protocol != _PROTOCOL_UDP:
            return None
        start = at + (first & 15) * 4
        length = at + total - start if total else len(data) - start  # 0: the network card would have filled it in
        payload = data[start : start + length]
        if place & 0x3FFF:
            key = (source, destination, ident)
            offset, more = (place & 0x1FFF) * 8, bool(place & 0x2000)
            return self._fragment(frame, key, offset, more, length, payload)
        return self._udp(frame, source, destination, payload, len(payload) < length)

    def _ipv6(self, frame: Frame, data: bytes, at: int) -> Datagram | None:
        length, header, source, destination = _IPV6(data, at)
        start = at + 40
        end = start + length if length else len(data)
        while header != _PROTOCOL_UDP:
            if header == _FRAGMENT_HEADER:
                header, place, ident = struct.unpack_from(">BxHI", data, start)
                start += 8
                if place & 0xFFF9:
                    key = (source, destination, ident, header)
                    payload = data[start:end]
                    return self._fragment(frame, key, place & 0xFFF8, bool(place & 1), end - start, payload)
            elif header in _EXTENSION_HEADERS:
                size = (data[start + 1] + 2) * 4 if header == _AUTHENTICATION else (data[start + 1] + 1) * 8
                header = data[start]
                start += size
            else:
                return None
        payload = data[start:end]
        return self._udp(frame, source, destination, payload, len(payload) < end - start)

    def _fragment(
        self, frame: Frame, key: tuple[Any, ...], offset: int, more: bool, length: int, payload: bytes
    ) -> Datagram | None:
        now = frame.time / 10**frame.decimals
        whole = self._reassembler.add(key, now, offset, more, length, payload)
        if whole is None or (len(key) == 4 and key[3] != _PROTOCOL_UDP):
            return None
        return self._udp(frame, key[0], key[1], *whole)

    def _udp(self, frame: Frame, source: bytes, destination: bytes, payload: bytes, cut: bool) -> Datagram:
        source_port, destination_port, length = _UDP(payload)
        data = payload[8:length] if length >= 8 else payload[8:]
        self.counters.datagrams += 1
        return Datagram(
            frame.number,
            frame.time,
            frame.decimals,
            address_text(source),
            source_port,
            address_text(destination),
            destination_port,
            data,
            cut and len(data) < length - 8,
        )
