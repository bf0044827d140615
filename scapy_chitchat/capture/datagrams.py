# SPDX-License-Identifier: GPL-2.0-or-later
"""From frames to UDP datagrams: link layers, tunnels to a bounded depth, IP, fragments.

Everything is read by offset. Plain frames go the quick way; what is wrapped goes from step to step (steps.py), and each
tunnel on the way leaves its text. Checksums are not looked at: on a machine that sends, captured packets do not have
them yet.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias

from scapy_chitchat.capture.counters import Counters
from scapy_chitchat.capture.duplicates import Duplicates, Sight
from scapy_chitchat.capture.frame import Frame
from scapy_chitchat.capture.links import LINKS, QUICK, sight_of
from scapy_chitchat.capture.reassembly import Reassembler, Whole
from scapy_chitchat.capture.steps import MOST_STEPS, Opener, ip, unknown
from scapy_chitchat.capture.tunnels import OVER_IPV4, OVER_IPV6, PORTS, VXLAN_START, vxlan_on_any_port
from scapy_chitchat.net.addresses import address_text
from scapy_chitchat.net.numbers import PROTOCOL_UDP
from scapy_chitchat.wire.protocol import MAGIC

NO_FRAME = Frame(0, 0, 0, 0, b"", 0)
"""What stands for a frame before the first."""
MOST_TUNNELS = 8
"""Tunnels in tunnels that are followed."""


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
    tunnel: tuple[str, ...] = ()
    """The tunnels that it came in, outermost first, such as "vxlan 5001 10.0.0.1 > 10.0.0.2"."""
    frames: tuple[Frame, ...] = ()
    """The frames that it came in, in the order of its bytes, if the reader keeps them."""

    @property
    def nanoseconds(self) -> int:
        """When it was captured, since the epoch."""
        return int(self.time * 10**9 // 10**self.decimals)


class _Ends(NamedTuple):
    """Of an IP packet: what its payload may need to be understood."""

    source: bytes
    destination: bytes
    ident: int
    """Of its fragments, or of an IPv4 packet; 0 for none."""
    tunnel: tuple[str, ...]
    whole: bool
    """Fragments were put together to get here."""


_Key: TypeAlias = "tuple[bytes, bytes, int, int, tuple[str, ...]]"
"""What fragments of one packet have in common: source, destination, identification, protocol, tunnel."""

_IPV4 = struct.Struct(">BxHHHxB2x4s4s").unpack_from
_IPV6 = struct.Struct(">xxxxHBx16s16s").unpack_from
_UDP = struct.Struct(">HHH").unpack_from
_FRAGMENT_HEADER = 44
_AUTHENTICATION = 51
_EXTENSION_HEADERS = frozenset({0, 43, 60, 135, 139, 140, _AUTHENTICATION})
_MAGIC = MAGIC.to_bytes(2, "little")


class DatagramReader:
    """Turns frames into UDP datagrams. What it keeps between frames is the fragments that wait.

    ``drop_duplicates``: pass over a datagram that was captured twice. ``keep_frames``: each datagram has its frames.
    """

    def __init__(
        self, counters: Counters | None = None, *, drop_duplicates: bool = False, keep_frames: bool = False
    ) -> None:
        self.counters = counters or Counters()
        self._reassembler = Reassembler(self.counters)
        self._duplicates = Duplicates() if drop_duplicates else None
        self._before = self._now = NO_FRAME
        self._keeps = keep_frames
        self._parts: tuple[Frame, ...] = ()
        """The frames that what is being read came in, if they are kept."""

    def read(self, frame: Frame) -> Datagram | None:
        """The datagram that ``frame`` is or completes, if it is or does."""
        data, linktype, counters = frame.data, frame.linktype, self.counters
        counters.frames += 1
        counters.bytes += len(data)
        self._before, self._now = self._now, frame
        if self._keeps:
            self._parts = (frame,)
        try:
            find = QUICK.get(linktype)
            if find is not None and (at := find(data)) >= 0:
                return self._ip(frame, data, at, ())
            return self._walk(frame, LINKS[linktype], data, ())
        except (struct.error, IndexError):
            counters.short += 1
        except KeyError as error:
            counters.unreadable += 1
            counters.unreadable_links.add(error.args[0])
        return None

    def finish(self) -> None:
        """The capture is over."""
        self._reassembler.finish()

    # --- from step to step ---

    def _walk(
        self, frame: Frame, opener: Opener, data: bytes, tunnel: tuple[str, ...], ends: str = "", at: int = 0
    ) -> Datagram | None:
        """What is found where the steps lead to. ``ends``: what carries the first tunnel on the way."""
        for _ in range(MOST_STEPS):
            step = opener(data, at)
            if step is None:
                return None
            opener, at, text = step
            if text:
                self.counters.tunnels += 1
            if opener is unknown:
                self.counters.unknown_inside[text] = self.counters.unknown_inside.get(text, 0) + 1
                return None
            if text:
                tunnel, ends = (*tunnel, text + ends), ""
            if len(tunnel) > MOST_TUNNELS:
                break
            if opener is ip:
                return self._ip(frame, data, at, tunnel)
        self.counters.too_deep += 1
        return None

    # --- IP ---

    def _ip(self, frame: Frame, data: bytes, at: int, tunnel: tuple[str, ...]) -> Datagram | None:
        version = data[at] >> 4
        if version == 4:
            return self._ipv4(frame, data, at, tunnel)
        return self._ipv6(frame, data, at, tunnel) if version == 6 else None

    def _ipv4(self, frame: Frame, data: bytes, at: int, tunnel: tuple[str, ...]) -> Datagram | None:
        first, total, ident, place, protocol, source, destination = _IPV4(data, at)
        if protocol != PROTOCOL_UDP and protocol not in OVER_IPV4 and protocol != _AUTHENTICATION:
            return None
        start = at + (first & 15) * 4
        length = at + total - start if total else len(data) - start  # 0: the network card would have filled it in
        payload = data[start : start + length]
        cut = len(payload) < length
        if place & 0x3FFF:
            return self._fragment(frame, (source, destination, ident, protocol, tunnel), place, length, payload)
        if protocol == PROTOCOL_UDP:
            return self._udp(frame, payload, cut, source, destination, ident, tunnel)
        return self._inside(frame, protocol, Whole(payload, cut), _Ends(source, destination, ident, tunnel, False))

    def _ipv6(self, frame: Frame, data: bytes, at: int, tunnel: tuple[str, ...]) -> Datagram | None:
        length, header, source, destination = _IPV6(data, at)
        start = at + 40
        payload = data[start : start + length] if length else data[start:]
        cut = len(payload) < length
        if header == PROTOCOL_UDP:
            return self._udp(frame, payload, cut, source, destination, 0, tunnel)
        ends = _Ends(source, destination, 0, tunnel, False)
        return self._inside(frame, header, Whole(payload, cut), ends, length)

    def _inside(self, frame: Frame, header: int, whole: Whole, ends: _Ends, length: int = 0) -> Datagram | None:
        """What an IP packet carries that is not simply UDP. ``length``: of the payload on the wire."""
        payload, at = whole.data, 0
        while header in _EXTENSION_HEADERS:
            size = (payload[at + 1] + 2) * 4 if header == _AUTHENTICATION else (payload[at + 1] + 1) * 8
            header = payload[at]
            at += size
        source, destination, ident, tunnel, is_whole = ends
        if header == PROTOCOL_UDP:
            return self._udp(frame, payload[at:], whole.cut, source, destination, ident, tunnel)
        if header == _FRAGMENT_HEADER and not is_whole:
            return self._fragment6(frame, Whole(payload[at:], whole.cut), ends, (length or len(payload)) - at)
        opener = (OVER_IPV4 if len(source) == 4 else OVER_IPV6).get(header)
        if opener is None:
            return None
        carried = f" {address_text(source)} > {address_text(destination)}"
        return self._walk(frame, opener, payload, tunnel, carried, at)

    # --- fragments ---

    def _fragment6(self, frame: Frame, whole: Whole, ends: _Ends, length: int) -> Datagram | None:
        """An IPv6 fragment header and what is behind it; an atomic one stands before a packet that is whole."""
        header, place, ident = struct.unpack_from(">BxHI", whole.data)
        payload = whole.data[8:]
        if not place & 0xFFF9:
            ends = ends._replace(ident=ident, whole=True)
            return self._inside(frame, header, Whole(payload, whole.cut), ends, length - 8)
        # as IPv4 has it: the offset in units of eight bytes, and a bit for more to come
        place = place >> 3 | (0x2000 if place & 1 else 0)
        return self._fragment(
            frame, (ends.source, ends.destination, ident, header, ends.tunnel), place, length - 8, payload
        )

    def _fragment(self, frame: Frame, key: _Key, place: int, length: int, payload: bytes) -> Datagram | None:
        # most of a flood ends here: what only a whole packet needs is made for whole packets
        now, before = frame.time / 10**frame.decimals, self._before
        # one frame that is far ahead proves nothing
        sure = before.time / 10**before.decimals if before.number else now
        if length < 0:
            length = 0
        piece = ((place & 0x1FFF) * 8, place & 0x2000 != 0, length, payload, self._parts)
        whole = self._reassembler.add(key, now, sure if sure < now else now, piece)
        if whole is None:
            return None
        self._parts = whole.frames
        source, destination, ident, header, tunnel = key
        return self._inside(frame, header, whole, _Ends(source, destination, ident, tunnel, True))

    # --- UDP ---

    def _udp(
        self,
        frame: Frame,
        payload: bytes,
        cut: bool,
        source: bytes,
        destination: bytes,
        ident: int,
        tunnel: tuple[str, ...],
    ) -> Datagram | None:
        source_port, destination_port, length = _UDP(payload)
        data = payload[8:length] if length >= 8 else payload[8:]
        if data[:2] != _MAGIC:
            opener = PORTS.get(destination_port) or PORTS.get(source_port)
            if opener is None and data[:4] == VXLAN_START:
                opener = vxlan_on_any_port
            if opener is not None and _opens(opener, data):
                carried = f" {address_text(source)} > {address_text(destination)}"
                return self._walk(frame, opener, data, tunnel, carried)
        if self._duplicates and self._is_duplicate(
            frame, (source, source_port, destination, destination_port), data, ident, tunnel
        ):
            return None
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
            tunnel,
            self._parts,
        )

    def _is_duplicate(
        self, frame: Frame, ends: tuple[bytes, int, bytes, int], data: bytes, ident: int, tunnel: tuple[str, ...]
    ) -> bool:
        assert self._duplicates
        way = (frame.interface, sight_of(frame.linktype, frame.data))
        sight = Sight(frame.time / 10**frame.decimals, frame.number, way, ident, tunnel)
        found = self._duplicates.has(ends, data, sight)
        self.counters.duplicates += found
        return found


def _opens(opener: Opener, data: bytes) -> bool:
    """Whether a datagram is what its port or its start promises."""
    try:
        return opener(data, 0) is not None
    except (IndexError, struct.error):
        return False
