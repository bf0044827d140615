# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``read`` does once it knows what is wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from scapy_chitchat.capture import (
    CapturedMessage,
    CaptureError,
    CaptureFile,
    Counters,
    DatagramReader,
    Frame,
    MessageFilter,
    read_datagrams,
)
from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, Progress, complain, hush_scapy, progress_bar, stop_writing
from scapy_chitchat.cli.lines import printer_for
from scapy_chitchat.cli.tables import Summary, print_stats
from scapy_chitchat.cli.wish import Counts, Wish
from scapy_chitchat.net.text import printable


class Selection:
    """Which messages to keep."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self._clusters: dict[frozenset[str], str] = {}

    def keeps(self, captured: CapturedMessage) -> bool:
        """Whether the message passes every filter. Must see all messages: the cluster is told from earlier ones."""
        wish = self.wish
        if not (wish.types or wish.node or wish.key or wish.cluster or wish.only_findings):
            return True
        values = captured.values()
        return (
            (not wish.cluster or self._cluster(captured, values) == wish.cluster)
            and (not wish.types or values.get("type") in wish.types)
            and (not wish.node or _any_matches(wish.node, values, "node_id"))
            and (not wish.key or _any_matches(wish.key, values, "key"))
            and (not wish.only_findings or bool(captured.findings))
        )

    def _cluster(self, captured: CapturedMessage, values: dict[str, Any]) -> str | None:
        pair = frozenset((captured.source, captured.destination))
        if "cluster_id" in values:
            self._clusters[pair] = values["cluster_id"]
        return self._clusters.get(pair)


def _any_matches(pattern: str, values: dict[str, Any], name: str) -> bool:
    parts = (*values.get("digest", ()), *values.get("delta", ()))
    return any(fnmatchcase(part[name], pattern) for part in parts if part.get(name) is not None)


class Output:
    """Where messages go, one by one, and the tables that come behind them."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.counters = Counters()
        self.counts = Counts()
        self._printer = printer_for(wish)
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


def messages_in(
    frames: Iterable[Frame], output: Output, every_thousand: Callable[[], None] = lambda: None
) -> Iterator[CapturedMessage]:
    """The messages in frames that pass the filters; counts all of them."""
    wish, counts = output.wish, output.counts
    keeps = Selection(wish).keeps
    reader = DatagramReader(output.counters, drop_duplicates=wish.drop_duplicates)
    for datagram in read_datagrams(frames, reader, MessageFilter(wish.ports)):
        captured = CapturedMessage(datagram, wish.limit)
        counts.messages += 1
        counts.refused += captured.error is not None
        if counts.messages % 1000 == 0:
            every_thousand()
        if keeps(captured):
            yield captured


def read_files(files: Sequence[str], wish: Wish) -> int:
    """Read the files and show what is wanted. Gives the exit code."""
    hush_scapy()
    output = Output(wish)
    reading = _Reading(files, output)
    interrupted = False
    try:
        for captured in reading.messages():
            output.show(captured)
        output.flush()
    except KeyboardInterrupt:
        interrupted = True
        output.flush()
    except BrokenPipeError:
        stop_writing()
        return 0
    output.tables()
    if not output.counts.messages and not interrupted and not reading.failed:
        complain(nothing_found(files, output.counters, wish.ports))
    return INTERRUPTED if interrupted else BAD_INPUT if reading.failed else 0


class _Reading:
    """The messages of the files, one file after the other; a bad file is complained of and the next one read."""

    def __init__(self, files: Sequence[str], output: Output) -> None:
        self.files = files
        self.output = output
        self.failed = False

    def messages(self) -> Iterator[CapturedMessage]:
        """Every message that passes the filters."""
        for file in self.files:
            try:
                silent = not self.output.wish.prints_messages
                with CaptureFile(file) as frames, progress_bar(file, frames.size or 0, silent=silent) as progress:
                    yield from self._of(frames, progress)
            except CaptureError as error:
                self.failed = True
                sys.stdout.flush()
                complain(str(error))

    def _of(self, frames: CaptureFile, progress: Progress) -> Iterator[CapturedMessage]:
        return messages_in(frames, self.output, lambda: progress.reached(frames.position()))


def nothing_found(files: Sequence[str], counters: Counters, ports: Collection[int]) -> str:
    """What to say when there was no message at all."""
    if ports and counters.datagrams:
        named = ", ".join(map(str, sorted(ports)))
        return (
            f"nothing from or to port {named} among {counters.datagrams:,} UDP datagrams: leave out --port to see all"
        )
    what = f"no chitchat messages in {printable(', '.join(files))}"
    if counters.unreadable_links and not counters.datagrams:
        return f"{what}: link type {', '.join(map(str, sorted(counters.unreadable_links)))} cannot be read"
    if counters.old:
        return f"{what}, but {counters.old:,} datagrams that may be of chitchat before 0.8, which had no magic number"
    if counters.datagrams:
        return f"{what}, but {counters.datagrams:,} UDP datagrams; if gossip is among them, name its port with --port"
    return f"{what}: {counters.frames:,} frames and no UDP datagram"
