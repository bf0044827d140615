# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages on their way to a person: which to keep, how to show them, and the tables that come behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase

from scapy_chitchat.capture import (
    CapturedMessage,
    Counters,
    DatagramReader,
    Frame,
    MessageFilter,
    notes,
    read_datagrams,
)
from scapy_chitchat.cli.common import complain
from scapy_chitchat.cli.lines import printer_for
from scapy_chitchat.cli.options import MessageOptions, Reading
from scapy_chitchat.cli.tables import Counts, Summary, print_stats
from scapy_chitchat.cli.unmatched import Unmatched
from scapy_chitchat.records.base import JsonObject


class Selection:
    """Which messages to keep."""

    def __init__(self, wish: MessageOptions) -> None:
        self.wish = wish
        self._clusters: dict[frozenset[str], str] = {}

    def keeps(self, captured: CapturedMessage) -> bool:
        """Whether the message passes every filter. Must see all messages: the cluster is told from earlier ones."""
        wish = self.wish
        if not (wish.types or wish.node or wish.key or wish.cluster or wish.findings):
            return True
        values = captured.values()
        return (
            (not wish.cluster or self._cluster(captured, values) == wish.cluster)
            and (not wish.types or values.get("type") in wish.types)
            and (not wish.node or _any_matches(wish.node, values, "node_id"))
            and (not wish.key or _has_key(wish.key, wish.node, values))
            and (not wish.findings or bool(captured.findings))
        )

    def _cluster(self, captured: CapturedMessage, values: JsonObject) -> str | None:
        pair = frozenset((captured.source, captured.destination))
        if "cluster_id" in values:
            self._clusters[pair] = values["cluster_id"]
        return self._clusters.get(pair)


def _has_key(pattern: str, node: str, values: JsonObject) -> bool:
    """Whether a key matches, of a node that matches as well where one is asked for."""
    return any(
        fnmatchcase(part["key"], pattern) and (not node or fnmatchcase(part["node_id"] or "", node))
        for part in values.get("delta", ())
        if "key" in part
    )


def _any_matches(pattern: str, values: JsonObject, name: str) -> bool:
    parts = (*values.get("digest", ()), *values.get("delta", ()))
    return any(fnmatchcase(part[name], pattern) for part in parts if part.get(name) is not None)


class Output:
    """Where messages go, one by one, and the tables that come behind them."""

    def __init__(self, wish: MessageOptions) -> None:
        self.wish = wish
        self.counters = Counters()
        self.counts = Counts()
        self.unmatched = Unmatched(wish)
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

    def notes(self) -> None:
        """What was lost, passed over or could not be read: a line each, whatever else was asked for."""
        if (line := self.unmatched.line(self.counts.messages)) is not None:
            complain(line)
        for line in notes(self.counters):
            complain(line)


def messages_in(
    frames: Iterable[Frame], output: Output, every_thousand: Callable[[], None] = lambda: None
) -> Iterator[CapturedMessage]:
    """The messages in frames that pass the filters; counts all of them."""
    keeps = Selection(output.wish).keeps
    for captured in all_messages_in(frames, output.wish, output.counters, every_thousand):
        output.counts.messages += 1
        output.counts.refused += captured.error is not None
        if keeps(captured):
            output.unmatched.passed()
            yield captured
        else:
            output.unmatched.add(captured)


def all_messages_in(
    frames: Iterable[Frame], wish: Reading, counters: Counters, every_thousand: Callable[[], None]
) -> Iterator[CapturedMessage]:
    """The messages in frames, read as it is wished."""
    reader = DatagramReader(counters, drop_duplicates=wish.dedup)
    wanted = MessageFilter(frozenset(wish.ports), skip_bytes=wish.skip_bytes)
    datagrams = read_datagrams(frames, reader, wanted)
    for number, datagram in enumerate(datagrams, 1):
        if number % 1000 == 0:
            every_thousand()
        yield CapturedMessage(datagram, wish.stream_limit)
