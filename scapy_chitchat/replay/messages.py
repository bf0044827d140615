# SPDX-License-Identifier: GPL-2.0-or-later
"""Captured messages sent again.

From a capture come messages (``Outgoing``), chosen, rewritten and with the moment at which each is due; a channel takes
them to a node, to an interface or into a file; ``play`` is the clock between the two. The clock keeps to the capture's
moments, not to its gaps, so that lateness does not add up; and it has the next messages ready before they are due,
since encoding a message of 60 KB takes longer than many a gap.

Gossip has no transaction id. From one socket to one node, answers are counted against the messages that want one.
"""

from __future__ import annotations

import gc
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

from scapy_chitchat.capture import (
    CapturedMessage,
    CaptureFile,
    Counters,
    Datagram,
    DatagramReader,
    Frame,
    MessageFilter,
    read_datagrams,
)
from scapy_chitchat.capture.ends import End
from scapy_chitchat.capture.links import link_header
from scapy_chitchat.net.addresses import join_address
from scapy_chitchat.records.classes import Message
from scapy_chitchat.records.sections import digest_of
from scapy_chitchat.replay.reach import any_elsewhere, named, tells_elsewhere
from scapy_chitchat.replay.rewrite import UNCHANGED, RewriteError, Rewriter, Rewriting
from scapy_chitchat.wire.headers import ANSWERED_BY, type_of

REFUSED = "refused"
"""What a message that no node takes counts as, instead of its type."""

NAMES_ELSEWHERE = "naming addresses that are not on this machine"
"""Why a message is kept back that would have a node gossip to other machines."""

READY_SECONDS = 0.02
"""A message is prepared while the next one is not due within this time."""
READY_MESSAGES = 2048
"""Messages that are prepared ahead at the most."""
READY_BYTES = 16 * 1024 * 1024
"""Bytes of messages above which no further one is prepared ahead."""


class Outgoing(NamedTuple):
    """A message to send."""

    due: float
    """Seconds after the start."""
    data: bytes
    kind: str
    """Its type, or REFUSED."""
    datagram: Datagram
    """As it was captured."""
    link: bytes
    """The captured link layer's header of the datagram's last frame."""


@dataclass
class Tally:
    """What happened."""

    sent: Counter[str] = field(default_factory=Counter)
    """By type, or REFUSED."""
    bytes: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """By reason."""
    answers: Counter[str] = field(default_factory=Counter)
    """By type; other datagrams count as REFUSED."""
    nobody: int = 0
    """How often the target's machine said that nothing listens there."""
    dropped: int = 0
    """Datagrams for which the node's socket had no room, as far as the kernel tells."""
    seconds: float = 0.0
    late: float = 0.0
    """The most seconds that a message was sent behind its moment."""

    @property
    def wanted(self) -> int:
        """Messages that want an answer."""
        return sum(self.sent[kind.name] for kind in ANSWERED_BY)

    @property
    def answered(self) -> int:
        """Answers, without BadCluster."""
        return min(self.answers["SynAck"], self.sent["Syn"]) + min(self.answers["Ack"], self.sent["SynAck"])

    @property
    def unanswered(self) -> int:
        """Messages that want an answer and have none, as far as can be told without a transaction id."""
        return max(self.wanted - self.answered - self.answers["BadCluster"], 0)


# --- from captures to messages ---


@dataclass(frozen=True)
class Choice:
    """Which messages to send."""

    types: frozenset[str] = frozenset()
    sender: str = ""
    """A node_id, an address, or an address and a port, with wildcards."""


class Senders:
    """Tells who sent a message."""

    def __init__(self, wanted: str) -> None:
        self.wanted = End(wanted)
        self.met: set[str] = set()
        """All who were met: node_ids and addresses, for a person who named none of them."""

    def sent(self, captured: CapturedMessage) -> bool:
        """Whether the wanted node sent this message."""
        for entry in digest_of(captured.message):
            self.met.add(entry.node_id)
            self.wanted.learn(entry.node_id, entry.gossip_advertise_addr)
        self.met.add(captured.source)
        return self.wanted.is_at(captured.datagram.source, captured.source)


@dataclass(frozen=True)
class Pace:
    """When messages are due: at the capture's moments, divided by ``speed``, or ``rate`` a second, or at once."""

    speed: float = 1.0
    rate: float | None = None
    asap: bool = False
    max_gap: float | None = None
    """Seconds that a pause may take at the most."""


SET_BACK = 10**9
"""Nanoseconds: a message so much earlier than the one before shows a clock set back, and not frames out of order."""


class _Clock:
    """The moments at which messages are due, over several files and passes."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._count = 0
        self._due = 0.0
        self._last: int | None = None

    def new_capture(self) -> None:
        """The next message is of another capture: it is due at once."""
        self._last = None

    def due(self, moment: int) -> float:
        """When a message captured at ``moment`` (in nanoseconds) is due.

        Where frames are a little out of order, time stands still; a clock that was set back goes on from there.
        """
        if self.pace.asap:
            return 0.0
        if self.pace.rate:
            self._count += 1
            return (self._count - 1) / self.pace.rate
        if self._last is None:
            self._last = moment
        if moment > self._last:
            gap = (moment - self._last) / 10**9 / self.pace.speed
            self._due += gap if self.pace.max_gap is None else min(gap, self.pace.max_gap)
        if moment > self._last or moment < self._last - SET_BACK:
            self._last = moment
        return self._due


_Part = tuple[bytes, str, Datagram, bytes]
"""An Outgoing without the moment at which it is due."""

KEPT_BYTES = 64 * 1024 * 1024
"""A pass of at most this many bytes is kept, so that further passes need not read it again."""


class _Kept:
    """The messages of the first pass, by capture."""

    def __init__(self) -> None:
        self.captures: list[list[_Part]] = []
        self._size = 0

    @property
    def fits(self) -> bool:
        """Whether all of them are here."""
        return self._size <= KEPT_BYTES

    def through(self, capture: Iterable[_Part]) -> Iterator[_Part]:
        """The messages of one capture, kept on the way."""
        kept: list[_Part] = []
        self.captures.append(kept)
        for part in capture:
            self._size += len(part[0])
            if self.fits:
                kept.append(part)
            yield part


class Messages:
    """The messages of captures, chosen and rewritten, each with the moment at which it is due."""

    def __init__(
        self,
        files: Iterable[str | Path],
        *,
        rewriting: Rewriting = UNCHANGED,
        choice: Choice = Choice(),
        pace: Pace = Pace(),
        passes: int = 1,
        ports: Iterable[int] = (),
        skip_refused: bool = False,
        stays_here: bool = False,
    ) -> None:
        """``passes``: how often, 0 for without end. ``skip_refused``: leave out what a node refuses.

        ``stays_here``: keep back what names, once rewritten, addresses that are not on this machine (see reach.py).
        """
        self.files = list(files)
        self.pace = pace
        self.tally = Tally()
        self.senders = Senders(choice.sender)
        self._rewriter = Rewriter(rewriting) if rewriting else None
        self._types = choice.types
        self._passes = passes
        self._filter = MessageFilter(tuple(ports))
        self._skip_refused = skip_refused
        self._stays_here = stays_here
        self._clock = _Clock(pace)
        self._link = b""
        # the type stands in the header: where nothing else is asked for, nothing else is read
        self._reads = bool(rewriting or choice.sender or skip_refused or stays_here)
        self._passes_are_alike = not (rewriting.new_generation or rewriting.heartbeat_offset or rewriting.fill_gaps)

    @property
    def unused(self) -> set[str]:
        """What was to be renamed, and is neither a node nor an address in these messages or of their packets."""
        return self._rewriter.unused if self._rewriter else set()

    def __iter__(self) -> Iterator[Outgoing]:
        kept = _Kept() if self._passes != 1 and self._passes_are_alike else None
        for done in range(self._passes) if self._passes else count():
            captures = kept.captures if kept and done and kept.fits else map(self._of, self.files)
            found = False
            for capture in captures:
                self._clock.new_capture()
                for part in kept.through(capture) if kept and not done else capture:
                    found = True
                    yield Outgoing(self._clock.due(nanoseconds(part[2])), *part)
            if not found:
                return
            if self._rewriter:
                self._rewriter.next_pass()

    def _of(self, file: str | Path) -> Iterator[_Part]:
        """What there is to send of one capture."""
        prepare = self._read if self._reads else self._glance
        with CaptureFile(file) as frames:
            for datagram in read_datagrams(self._watched(frames), DatagramReader(Counters()), self._filter):
                if datagram.cut:
                    self.tally.skipped["cut by the capture"] += 1
                elif found := prepare(datagram):
                    if self.unused:
                        self._met(datagram)
                    yield *found, datagram, self._link

    def _met(self, datagram: Datagram) -> None:
        for ip, port in (
            (datagram.source, datagram.source_port),
            (datagram.destination, datagram.destination_port),
        ):
            self.unused.difference_update({ip, join_address(ip, port)})

    def _watched(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self._link = link_header(frame.linktype, frame.data)
            yield frame

    def _glance(self, datagram: Datagram) -> tuple[bytes, str] | None:
        """The bytes and the type, from the header alone."""
        kind = kind_of(datagram.data)
        return (datagram.data, kind) if not self._types or kind in self._types else None

    def _read(self, datagram: Datagram) -> tuple[bytes, str] | None:
        """The bytes and the type of a message that passes the choice."""
        captured = CapturedMessage(datagram)
        if self.senders.wanted.pattern and not self.senders.sent(captured):
            return None
        message = captured.message
        kind = message.type if message else REFUSED
        if self._types and kind not in self._types:
            return None
        if message is None and self._skip_refused:
            self.tally.skipped["refused by nodes"] += 1
            return None
        if self._stays_here and self._names_elsewhere(captured):
            self.tally.skipped[NAMES_ELSEWHERE] += 1
            return None
        return (datagram.data, REFUSED) if message is None else self._rewritten(message, datagram.data)

    def _names_elsewhere(self, captured: CapturedMessage) -> bool:
        """Whether the message would have a node gossip to another machine, once it is rewritten."""
        if captured.error:
            return tells_elsewhere(captured.error)
        nodes = named(captured.message)
        return any_elsewhere(map(self._rewriter.new_id, nodes) if self._rewriter else nodes)

    def _rewritten(self, message: Message, data: bytes) -> tuple[bytes, str] | None:
        if self._rewriter is None:
            return data, message.type
        try:
            return self._rewriter.bytes_of(message, data), message.type
        except RewriteError as error:
            self.tally.skipped[str(error)] += 1
            return None


def kind_of(data: bytes) -> str:
    """What a message counts as: the type that its header says, or REFUSED."""
    kind = type_of(data)
    return REFUSED if kind is None else kind.name


def nanoseconds(datagram: Datagram) -> int:
    """When it was captured, since the epoch."""
    return datagram.nanoseconds


# --- channels ---


class Channel(Protocol):
    """Takes messages away, and may bring answers."""

    def send(self, message: Outgoing) -> None:
        """Send one message."""

    def wait(self, seconds: float) -> None:
        """Let time pass, and take the answers that come meanwhile."""

    def finish(self, patience: float) -> None:
        """All is sent: wait for answers that are still to come, and close."""


# --- the clock ---


LONG_PAUSE = 60.0
"""Seconds: who waits longer for the next message wants to be told."""


def play(
    messages: Messages,
    channel: Channel,
    patience: float = 1.0,
    watch: Callable[[], None] | None = None,
    pauses: Callable[[float], None] = lambda seconds: None,
) -> Tally:
    """Send the messages, each when it is due, and count. ``watch`` is called now and then, for a status line.

    ``pauses`` is told of a long pause, and how many seconds it takes.

    What was sent before an exception (Ctrl-C) is in ``messages.tally``; the channel is closed in any case.
    """
    tally = messages.tally
    sent = 0
    started = time.perf_counter()
    try:
        for message in messages if messages.pace.asap else _when_due(messages, channel, tally, pauses):
            channel.send(message)
            tally.sent[message.kind] += 1
            tally.bytes += len(message.data)
            sent += 1
            if watch and sent % _WATCH_EVERY == 0:
                watch()
    except BaseException:
        patience = 0.0
        raise
    finally:
        tally.seconds = time.perf_counter() - started
        channel.finish(patience)
    return tally


_WATCH_EVERY = 16


def _when_due(
    messages: Iterable[Outgoing], channel: Channel, tally: Tally, pauses: Callable[[float], None]
) -> Iterator[Outgoing]:
    """Each message when it is due. The messages behind it are prepared while there is time."""
    source = iter(messages)
    ready: deque[Outgoing] = deque()
    size = 0
    start: float | None = None
    now = time.perf_counter
    while True:
        while len(ready) < READY_MESSAGES and size < READY_BYTES:
            if start is not None and ready and ready[0].due - (now() - start) < READY_SECONDS:
                break
            prepared = next(source, None)
            if prepared is None:
                break
            ready.append(prepared)
            size += len(prepared.data)
        if not ready:
            return
        if start is None:
            gc.freeze()  # all that Scapy has loaded: a collection that looks at it takes longer than many a gap
            start = now()
        message = ready.popleft()
        size -= len(message.data)
        if (left := message.due - (now() - start)) > 0:
            if left > LONG_PAUSE:
                pauses(left)
            channel.wait(left)
        tally.late = max(tally.late, now() - start - message.due)
        yield message
