# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages on their way to a person: read, chosen (choosing.py), shown (lines.py), and the tables that come behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from scapy_chitchat.capture import (
    CapturedMessage,
    Counters,
    DatagramReader,
    Frame,
    MessageFilter,
    notes,
    read_datagrams,
)
from scapy_chitchat.cli.choosing import Selection
from scapy_chitchat.cli.common import complain
from scapy_chitchat.cli.lines import Printer, Silent, printer_for
from scapy_chitchat.cli.options import MessageOptions, Period, Reading
from scapy_chitchat.cli.tables import Counts, Summary, print_stats
from scapy_chitchat.cli.unmatched import Unmatched


class Output:
    """Where messages go, one by one, and the tables that come behind them."""

    def __init__(self, wish: MessageOptions, *, quiet: bool = False) -> None:
        """``quiet``: no lines where nothing asks for them; what is shown otherwise is shown."""
        self.wish = wish
        self.counters = Counters()
        self.counts = Counts()
        self.unmatched = Unmatched(wish)
        self._printer: Printer = Silent() if quiet and not wish.asks_for_messages else printer_for(wish)
        self._summary = Summary() if wish.summary else None
        self._started = time.perf_counter()

    def show(self, captured: CapturedMessage) -> None:
        """Show a message."""
        if self._summary:
            self._summary.add(captured)
        self._printer.show(captured)

    def flush(self) -> None:
        """Let nothing stay in a buffer."""
        self._printer.finish()

    def tables(self, dropped: int | None = None) -> None:
        """The tables that are wanted. ``dropped``: frames that were lost before we saw them."""
        elsewhere = self.wish.prints_messages
        if self._summary:
            self._summary.print(stderr=elsewhere)
        if self.wish.stats:
            seconds = time.perf_counter() - self._started
            print_stats(self.counters, self.counts, seconds, stderr=elsewhere, dropped=dropped)

    def notes(self) -> None:
        """What was lost, passed over or could not be read: a line each, whatever else was asked for."""
        if (line := self.unmatched.line(self.counts.messages)) is not None:
            complain(line)
        for line in notes(self.counters):
            complain(line)


def messages_in(
    frames: Iterable[Frame],
    output: Output,
    every_thousand: Callable[[], None] = lambda: None,
    *,
    period: Period | None = None,
    keep_frames: bool = False,
    meets: Callable[[CapturedMessage], None] | None = None,
) -> Iterator[CapturedMessage]:
    """The messages in frames that pass the filters; counts all of them.

    ``keep_frames``: each has its frames. ``meets`` is called with every message, whether it passes or not.
    """
    keeps = Selection(output.wish, period).keeps
    reader = DatagramReader(output.counters, drop_duplicates=output.wish.dedup, keep_frames=keep_frames)
    for captured in _read(frames, reader, output.wish, every_thousand):
        output.counts.messages += 1
        output.counts.refused += captured.error is not None
        if meets is not None:
            meets(captured)
        if keeps(captured):
            output.unmatched.passed()
            yield captured
        else:
            output.unmatched.add(captured)


def all_messages_in(
    frames: Iterable[Frame],
    wish: Reading,
    counters: Counters,
    every_thousand: Callable[[], None] = lambda: None,
    *,
    keep_frames: bool = False,
) -> Iterator[CapturedMessage]:
    """The messages in frames, read as it is wished. ``keep_frames``: each has its frames."""
    reader = DatagramReader(counters, drop_duplicates=wish.dedup, keep_frames=keep_frames)
    yield from _read(frames, reader, wish, every_thousand)


def _read(
    frames: Iterable[Frame], reader: DatagramReader, wish: Reading, every_thousand: Callable[[], None]
) -> Iterator[CapturedMessage]:
    wanted = MessageFilter(frozenset(wish.ports), skip_bytes=wish.skip_bytes)
    datagrams = read_datagrams(frames, reader, wanted)
    for number, datagram in enumerate(datagrams, 1):
        if number % 1000 == 0:
            every_thousand()
        yield CapturedMessage(datagram, wish.stream_limit)
