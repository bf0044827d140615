# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragments of IP packets are put together, whatever their order.

The first bytes to arrive for a place stay, later ones that overlap them are dropped. Each fragment costs the same,
however many came before it. What waits is bounded in number and in memory, with what it costs to keep it counted.
A packet is given up when the bounds ask for it, or when a fragment of another one with its number comes much later:
the clock alone ends nothing, so that one frame with a wrong time does no harm.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple, TypeAlias

from scapy_chitchat.capture.counters import Counters
from scapy_chitchat.capture.frame import Frame

FRAGMENT_TIMEOUT = 30
"""Seconds of capture time after which a fragment belongs to another packet (Linux: net.ipv4.ipfrag_time)."""
MOST_WAITING = 4096
"""Packets that wait at a time; the oldest is given up for a new one."""
MOST_WAITING_BYTES = 64 * 1024 * 1024
"""Bytes of memory that what waits may take."""
MOST_REMEMBERED = 256
"""Packets that were put together and whose fragments are still known when they come again."""
MOST_REMEMBERED_PIECES = 64
"""Fragments of such a packet at the most: one of more is forgotten at once."""

PIECE_COST, PACKET_COST, FRAME_COST = 256, 2048, 256
"""Bytes of memory that a fragment, a packet and a kept frame take beside their bytes."""


class Whole(NamedTuple):
    """The payload of an IP packet that was put together."""

    data: bytes
    cut: bool
    """The capture cut some of it away."""
    frames: tuple[Frame, ...] = ()
    """The frames of its fragments, in the order of its bytes, if they were given."""


Piece: TypeAlias = "tuple[int, bool, int, bytes, tuple[Frame, ...]]"
"""One fragment: its offset, whether more come behind it, its bytes on the wire, those captured, and the frames that it
came in if they are to be kept. A plain tuple: of nothing else are so many made in a flood."""


class _Waiting:
    """The fragments of one IP packet."""

    __slots__ = ("cost", "covered", "echo", "frames", "full", "pieces", "since", "size")

    def __init__(self, since: float, echo: bool) -> None:
        self.since = since
        self.echo = echo
        """All that came is known from a packet that was put together."""
        self.pieces: dict[int, tuple[int, bytes]] = {}  # by offset: length on the wire, bytes captured
        self.frames: dict[int, tuple[Frame, ...]] = {}  # by offset, if they are kept
        self.cost = PACKET_COST
        self.covered = 0  # a bit for every eight bytes
        self.full = 0
        self.size: int | None = None  # of the whole, once the last fragment is there

    def add(self, piece: Piece) -> bool:
        """Keep a fragment, unless one of the same place came before that is as long. Whether all is there."""
        offset, more, length, data, frames = piece
        if not more and self.size is None:
            self.size = offset + length
            self.full = (1 << (self.size + 7) // 8) - 1
        known = self.pieces.get(offset)
        if known is None or known[0] < length:
            if known is not None:
                data = known[1] + data[len(known[1]) :]
                self.cost -= len(known[1]) + PIECE_COST
            self.pieces[offset] = (length, data)
            self.cost += len(data) + PIECE_COST
            if frames:
                self.cost += sum(len(each.data) + FRAME_COST for each in frames)
                self.frames[offset] = self.frames.get(offset, ()) + frames
            units = length + 7 >> 3 if offset + length == self.size else length >> 3
            self.covered |= (1 << units) - 1 << (offset >> 3)
        return self.size is not None and self.covered & self.full == self.full

    def contradicts(self, piece: Piece) -> bool:
        """Whether other bytes wait for the place of this fragment."""
        offset, _, _, data, _ = piece
        known = self.pieces.get(offset)
        return known is not None and known[1] != data

    def whole(self) -> Whole:
        """The packet, once all is there."""
        out = bytearray()
        reached, cut = 0, False
        for offset in sorted(self.pieces):
            length, data = self.pieces[offset]
            if not cut and offset + length > reached:
                out += data[reached - offset :]
                cut = len(data) < length
            reached = max(reached, offset + length)
        frames = tuple(frame for offset in sorted(self.frames) for frame in self.frames[offset])
        return Whole(bytes(out[: self.size]), cut, frames)


class _Done(NamedTuple):
    time: float
    pieces: dict[int, int]
    """By offset, a hash of what was there."""


class Reassembler:
    """Puts IP fragments together. Counts those that it is given, and the packets that it completes or gives up."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self._waiting: OrderedDict[Hashable, _Waiting] = OrderedDict()
        self._done: OrderedDict[Hashable, _Done] = OrderedDict()
        self._cost = 0

    def add(self, key: Hashable, now: float, sure: float, piece: Piece) -> Whole | None:
        """One fragment of the packet ``key``. Gives the IP payload when it is complete.

        ``now``: seconds, by this frame; ``sure``: seconds that have passed for certain, by more than this frame.
        """
        self.counters.fragments += 1
        packet = self._waiting.get(key)
        if packet is None or packet.echo or now - packet.since > FRAGMENT_TIMEOUT:
            packet = self._packet(key, packet, now, sure, piece)
        before = packet.cost
        complete = packet.add(piece)
        self._cost += packet.cost - before
        if complete and now - packet.since > FRAGMENT_TIMEOUT:
            # nothing came behind it that would show its time to be wrong: it is of another packet
            self._give_up(key)
            packet = self._packet(key, None, now, sure, piece)
            packet.add(piece)
            self._cost += packet.cost - PACKET_COST
        elif complete:
            self._forget(key)
            self._remember(key, now, packet)
            self.counters.reassembled += 1
            return packet.whole()
        while len(self._waiting) > MOST_WAITING or self._cost > MOST_WAITING_BYTES:
            self._give_up(next(iter(self._waiting)))
        return None

    def _packet(self, key: Hashable, packet: _Waiting | None, now: float, sure: float, piece: Piece) -> _Waiting:
        """The packet that waits under this key, or something new where that is too old or only an echo."""
        if packet is not None and (
            sure - packet.since > FRAGMENT_TIMEOUT
            or (now - packet.since > FRAGMENT_TIMEOUT and packet.contradicts(piece))
        ):
            self._give_up(key)
            packet = None
        if packet is not None and not packet.echo:
            return packet
        echo = self._is_echo(key, sure, piece)
        if packet is not None and echo:
            return packet
        if packet is not None:
            self._forget(key)
        packet = self._waiting[key] = _Waiting(now, echo)
        self._cost += packet.cost
        return packet

    def _is_echo(self, key: Hashable, now: float, piece: Piece) -> bool:
        """Whether this very fragment was in a packet that was put together: it was captured, or sent, twice."""
        done = self._done.get(key)
        if done is None or now - done.time > FRAGMENT_TIMEOUT:
            return False
        offset, _, _, data, _ = piece
        return done.pieces.get(offset) == hash(data)

    def _remember(self, key: Hashable, now: float, packet: _Waiting) -> None:
        if len(packet.pieces) > MOST_REMEMBERED_PIECES:
            return
        self._done.pop(key, None)
        self._done[key] = _Done(now, {offset: hash(data) for offset, (_, data) in packet.pieces.items()})
        if len(self._done) > MOST_REMEMBERED:
            self._done.popitem(last=False)

    def _give_up(self, key: Hashable) -> None:
        packet = self._forget(key)
        if not packet.echo:
            self.counters.incomplete += 1
            self.counters.first_only += list(packet.pieces) == [0]

    def _forget(self, key: Hashable) -> _Waiting:
        packet = self._waiting.pop(key)
        self._cost -= packet.cost
        return packet

    def finish(self) -> None:
        """The capture is over: what still waits is incomplete."""
        while self._waiting:
            self._give_up(next(iter(self._waiting)))
