# SPDX-License-Identifier: GPL-2.0-or-later
"""Where replayed messages go: to a node, into a file, onto an interface."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from scapy_chitchat.capture import CapturedMessage, Datagram
from scapy_chitchat.capture.writing import CaptureWriter
from scapy_chitchat.net.addresses import join_address, split_address
from scapy_chitchat.net.interfaces import LOOPBACK_HARDWARE, hardware, mtu
from scapy_chitchat.net.packets import Endpoints, ip_packets
from scapy_chitchat.net.queues import Queue, queue_at
from scapy_chitchat.net.targets import is_here
from scapy_chitchat.net.udp import Address, connected_to
from scapy_chitchat.replay.messages import Outgoing, Tally, kind_of, nanoseconds
from scapy_chitchat.replay.rewrite import Rewriting
from scapy_chitchat.wire.protocol import MAX_DATAGRAM

LONGEST_SLEEP = 0.5
"""Seconds: a Ctrl-C that comes just before a system call is heeded just after it. And a capture may want a pause of
centuries, which no system call takes."""


ROOM = 128 * 1024
"""Bytes, with the kernel's own, that may wait in a node's socket: Linux gives it 208 KiB unless it asks for more."""

SMALL = 768
"""Bytes that the kernel needs for a datagram at the least; for a large one, up to twice its own."""

LOOK_AGAIN = 0.001
"""Seconds between looks at a queue that is full."""

NO_ROOM = 5.0
"""Seconds after which a node that takes nothing is not waited for any more."""


QUIET = 0.05
"""Seconds without an answer after which a node elsewhere is taken for done with all that came."""


class ToNode:
    """Datagrams to one node from one socket. ``on_answer`` gets each answer as a captured message.

    ``window``: send no more than the node's socket has room for. On this machine the kernel tells what waits there; a
    node elsewhere has taken a message when it has answered it, or a while after.
    """

    def __init__(
        self,
        address: Address,
        tally: Tally,
        on_answer: Callable[[CapturedMessage], None] | None = None,
        *,
        window: bool = False,
    ) -> None:
        self.socket = connected_to(address)
        self._window = window
        self._address = self.socket.getpeername()
        self._is_here = is_here(str(self._address[0]))
        self._used = 0
        before = self._queue()
        self._dropped_before = before.dropped if before else 0
        self.tally = tally
        self._on_answer = on_answer
        self._here = self.socket.getsockname()[:2]
        self._there = address[:2]
        self._send = self.socket.send
        self._since_look = 0
        self._received = 0

    def send(self, message: Outgoing) -> None:
        """One datagram."""
        if self._window:
            self._wait_for_room(SMALL + 2 * len(message.data))
        try:
            self._send(message.data)
        except ConnectionRefusedError:  # the answer to an earlier datagram; this one was not sent
            self.tally.nobody += 1
            try:
                self._send(message.data)
            except ConnectionRefusedError:
                self.tally.nobody += 1
        self._since_look += 1
        if self._since_look >= _LOOK_EVERY:
            self._since_look = 0
            self._take_answers()

    def _queue(self) -> Queue | None:
        """What waits for the node, if it is on this machine."""
        return queue_at(self._address) if self._is_here else None

    def _wait_for_room(self, size: int) -> None:
        """Wait until the node's socket surely holds so much more, or until the node seems to take nothing."""
        until = time.perf_counter() + NO_ROOM
        while self._used and self._used + size > ROOM and time.perf_counter() < until:
            queue = self._queue()
            if queue is None:
                self._wait_for_answers()
                self._used = 0
            else:
                self._used = queue.waiting
                if queue.waiting:
                    self.wait(LOOK_AGAIN)
        self._used += size

    def _wait_for_answers(self) -> None:
        """Where nobody tells what waits: until all is answered, or for a moment after the last answer."""
        until = time.perf_counter() + QUIET
        answers = self.tally.answers.total()
        while self.tally.unanswered and time.perf_counter() < until:
            self.wait(LOOK_AGAIN)
            if self.tally.answers.total() > answers:
                until, answers = time.perf_counter() + QUIET, self.tally.answers.total()

    def wait(self, seconds: float) -> None:
        """Sleep, unless answers come."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            readable, _, _ = select.select([self.socket], [], [], min(left, LONGEST_SLEEP))
            if readable:
                self._take_answers()

    def _take_answers(self) -> None:
        while True:
            try:
                self._answer(self.socket.recv(MAX_DATAGRAM + 1, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self.tally.nobody += 1

    def _answer(self, data: bytes) -> None:
        self._received += 1
        (there, their_port), (here, our_port) = self._there, self._here
        datagram = Datagram(self._received, time.time_ns(), 9, there, their_port, here, our_port, data, False)
        self.tally.answers[kind_of(data)] += 1
        if self._on_answer:
            self._on_answer(CapturedMessage(datagram))

    def finish(self, patience: float) -> None:
        """Wait for what is still to come, at most ``patience`` seconds, and close."""
        until = time.perf_counter() + patience
        try:
            while self.tally.unanswered and time.perf_counter() < until:
                self.wait(min(0.05, patience))
        finally:
            queue = self._queue()
            self.tally.dropped = max(queue.dropped - self._dropped_before, 0) if queue else 0
            self.socket.close()


_LOOK_EVERY = 32
"""Messages after which answers are taken, when there is no time to wait."""


class ToFile:
    """A capture file instead of a node. Addresses of packets are mapped like those in messages."""

    def __init__(self, path: str, wish: Rewriting, target: Address | None = None) -> None:
        self._writer = CaptureWriter(path)
        self._wish = wish
        self._target = target
        self._start: int | None = None

    def send(self, message: Outgoing) -> None:
        """One packet, at the moment at which it would be sent."""
        if self._start is None:
            self._start = nanoseconds(message.datagram)
        ends = endpoints(message.datagram, self._wish, self._target)
        self._writer.datagram(ends, message.data, self._start + round(message.due * 10**9))

    def wait(self, seconds: float) -> None:
        """Nothing: a file is written at once."""

    def finish(self, patience: float) -> None:
        """Close the file."""
        self._writer.close()


class ToInterface:
    """Whole packets on an interface, in fragments where its MTU asks for them, behind the captured link header.

    Linux takes IPv4 packets to 127.0.0.0/8 from nobody but itself (``route_localnet``), so on the loopback interface
    they go out by a raw IP socket, without a link header.
    """

    def __init__(self, interface: str, wish: Rewriting) -> None:
        if not hasattr(socket, "AF_PACKET"):
            raise OSError("--as-captured needs Linux")
        self._mtu = mtu(interface)
        self._frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._frames.bind((interface, 0))
        self._packets: socket.socket | None = None
        if is_loopback(interface):
            self._packets = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._packets.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        self._wish = wish
        self._ident = 0

    def send(self, message: Outgoing) -> None:
        """The packets of one message."""
        ends = endpoints(message.datagram, self._wish)
        self._ident += 1
        for packet in ip_packets(ends, message.data, self._ident, self._mtu):
            if self._packets and ":" not in ends.source:
                self._packets.sendto(packet, (ends.destination, 0))
            else:
                ether_type = b"\x86\xdd" if ":" in ends.source else b"\x08\x00"
                self._frames.send((message.link[:-2] or bytes(12)) + ether_type + packet)

    def wait(self, seconds: float) -> None:
        """Sleep."""
        while seconds > 0:
            time.sleep(min(seconds, LONGEST_SLEEP))
            seconds -= LONGEST_SLEEP

    def finish(self, patience: float) -> None:
        """Close."""
        self._frames.close()
        if self._packets:
            self._packets.close()


def is_loopback(interface: str) -> bool:
    """Whether nothing that is sent on ``interface`` leaves this machine. Raises OSError where there is none."""
    return hardware(interface) == LOOPBACK_HARDWARE


def endpoints(datagram: Datagram, wish: Rewriting, target: Address | None = None) -> Endpoints:
    """From where to where a packet goes: as captured, with addresses mapped, or to ``target``."""
    source = _mapped(datagram.source, datagram.source_port, wish)
    destination = _mapped(datagram.destination, datagram.destination_port, wish)
    if target is not None:
        destination = target[0], target[1]
    if (":" in source[0]) != (":" in destination[0]):
        source = ("::1" if ":" in destination[0] else "127.0.0.1", source[1])
    return Endpoints(*source, *destination)


def _mapped(ip: str, port: int, wish: Rewriting) -> tuple[str, int]:
    new_ip, new_port = split_address(wish.address(join_address(ip, port)))
    return new_ip, port if new_port is None else new_port
