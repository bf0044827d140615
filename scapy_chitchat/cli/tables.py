# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages counted: the tables of ``--summary`` and ``--stats``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scapy_chitchat.cli.common import console
from scapy_chitchat.net.text import printable
from scapy_chitchat.records.checks import CODES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from scapy_chitchat.capture import CapturedMessage, Counters


@dataclass
class Counts:
    """Messages met, whether shown or not."""

    messages: int = 0
    refused: int = 0
    """Of these, the ones that a node refuses."""


MOST_CLUSTERS = 20
"""Clusters that are listed; the rest is summed up in one row."""

MOST_PAIRS = 20
"""Node pairs that are listed, and findings of pairs and of receivers; the rest is summed up in one row."""


class _Sizes:
    """How many messages, and how large."""

    def __init__(self) -> None:
        self.count = self.total = self.largest = 0

    def add(self, size: int) -> None:
        self.count += 1
        self.total += size
        self.largest = max(self.largest, size)

    def cells(self) -> list[str]:
        mean = self.total / self.count if self.count else 0
        return [f"{self.count:,}", f"{self.total:,}", f"{mean:,.0f}", f"{self.largest:,}"]


class Summary:
    """Counts by type and version, cluster, node pair and finding."""

    def __init__(self) -> None:
        self.types: dict[tuple[str, str], _Sizes] = {}
        self.pairs: dict[tuple[str, str], _Sizes] = {}
        self.clusters: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.found: Counter[tuple[str, ...]] = Counter()
        """Messages by code of a finding, sender and receiver."""
        self.first = self.last = ""

    def add(self, captured: CapturedMessage) -> None:
        """Count one message."""
        message = captured.message
        kind = message.type if message else captured.values().get("type", "?")
        version = f"V{message.version}" if message else "refused"
        size = len(captured.data)
        self.types.setdefault((kind, version), _Sizes()).add(size)
        self.pairs.setdefault((captured.source, captured.destination), _Sizes()).add(size)
        if message and message.type == "Syn":
            self.clusters[message.cluster_id] += 1
        for code in {each.code for each in captured.findings}:
            self.codes[code] += 1
            self.found[code, captured.source, captured.destination] += 1
        self.last = captured.time_text
        self.first = self.first or self.last

    def print(self, *, stderr: bool) -> None:
        """The tables."""
        out = console(stderr=stderr)
        if not self.types:
            return
        out.print(table("Messages", ["type", "version"], _SIZES, _rows(self.types)))
        if self.clusters:
            rows = [[printable(name), f"{count:,}"] for name, count in self.clusters.most_common(MOST_CLUSTERS)]
            if len(self.clusters) > len(rows):
                rest = sum(count for _, count in self.clusters.most_common()[MOST_CLUSTERS:])
                rows.append([f"{len(self.clusters) - MOST_CLUSTERS:,} more clusters", f"{rest:,}"])
            out.print(table("Clusters", ["cluster_id"], ["Syn messages"], rows))
        out.print(table("Node pairs", ["from", "to"], _SIZES, _rows(self.pairs, MOST_PAIRS)))
        if self.codes:
            rows = [[CODES[code].severity, code, CODES[code].text, f"{n:,}"] for code, n in self.codes.most_common()]
            out.print(table("Findings", ["severity", "code", "meaning"], ["messages"], rows))
            received: Counter[tuple[str, ...]] = Counter()
            for (code, _, destination), count in self.found.items():
                received[code, destination] += count
            out.print(table("Findings by pair", ["code", "from", "to"], ["messages"], _counted(self.found, "pairs")))
            out.print(
                table("Findings by receiver", ["code", "receiver"], ["messages"], _counted(received, "receivers"))
            )


_SIZES = ["messages", "bytes", "mean", "largest"]


def _rows(counted: dict[tuple[str, str], _Sizes], most: int | None = None) -> list[list[str]]:
    ordered = sorted(counted.items(), key=lambda entry: -entry[1].count)
    rows = [[*key, *sizes.cells()] for key, sizes in ordered[:most]]
    if most is not None and len(ordered) > most:
        rest = sum(sizes.count for _, sizes in ordered[most:])
        rows.append([f"{len(ordered) - most:,} more pairs", "", f"{rest:,}", "", "", ""])
    return rows


def _counted(counts: Mapping[tuple[str, ...], int], what: str) -> list[list[str]]:
    """Rows for what was met most, and one for the rest."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = [[*key, f"{count:,}"] for key, count in ordered[:MOST_PAIRS]]
    if rest := ordered[MOST_PAIRS:]:
        empty = [""] * (len(rest[0][0]) - 1)
        rows.append([f"{len(rest):,} more {what}", *empty, f"{sum(count for _, count in rest):,}"])
    return rows


WIDEST = 1000
"""Characters of a line where no terminal is: each row takes as many as the widest."""


def print_table(out: Console, title: str, words: list[str], numbers: list[str], rows: list[list[str]]) -> None:
    """A table, however narrow the terminal: where it does not fit, all words of a row stand in one column.

    No row is broken where no terminal is, unless it is wider than WIDEST. A column of words without any is left out.
    """
    kept = [at for at in range(len(words)) if not at or any(row[at] for row in rows)]
    rows = [[*(row[at] for at in kept), *row[len(words) :]] for row in rows]
    words = [words[at] for at in kept]
    numbers = [name.replace("_version", "_\nversion").replace(" ", "\n") for name in numbers]
    made = table(title, words, numbers, rows)
    needed = made.__rich_measure__(out, out.options.update(max_width=sys.maxsize)).maximum
    if not out.is_terminal:
        out.width = max(out.width, min(needed, WIDEST))
    if needed > out.width:
        made = table(title, words[:1], numbers, _stacked(rows, words), pad=0)
    out.print(made)


def _stacked(rows: list[list[str]], words: list[str]) -> list[list[str]]:
    """The rows with all words in the first cell, a line each, called by the name of their column."""
    stacked = []
    for row in rows:
        more = zip(words[1:], row[1:], strict=False)
        lines = [row[0], *(f"  {name}: {cell}" for name, cell in more if cell)]
        stacked.append(["\n".join(lines), *row[len(words) :]])
    return stacked


def table(title: str, words: list[str], numbers: list[str], rows: list[list[str]], pad: int = 1) -> Table:
    """A table with columns of words, then of numbers. ``pad``: blanks at both sides of a column."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, pad))
    for name in words:
        made.add_column(Text(name), overflow="fold")
    for name in numbers:
        made.add_column(Text(name), justify="right")
    for row in rows:
        made.add_row(*map(Text, row))  # of plain text Rich would take :fire: and [red] for more than they are
    return made


def print_stats(
    counters: Counters, counts: Counts, seconds: float, *, stderr: bool, dropped: int | None = None
) -> None:
    """What was read, and how fast; ``dropped`` by the kernel, where it was asked."""
    rows = [
        ["messages", f"{counts.messages:,}"],
        ["messages a second", f"{counts.messages / seconds:,.0f}" if seconds else "-"],
        ["undecodable: a node refuses them", f"{counts.refused:,}"],
        ["frames", f"{counters.frames:,}"],
        ["bytes captured", f"{counters.bytes:,}"],
        ["UDP datagrams", f"{counters.datagrams:,}"],
        ["of these no chitchat", f"{counters.other:,}"],
        ["IP fragments", f"{counters.fragments:,}"],
        ["datagrams put together", f"{counters.reassembled:,}"],
        ["lost: fragments missing", f"{counters.incomplete:,}"],
        ["duplicates dropped", f"{counters.duplicates:,}"],
    ]
    if dropped is not None:
        rows.append(["lost: frames that the kernel dropped", f"{dropped:,}"])
    console(stderr=stderr).print(table("Reading", ["what"], ["count"], rows))
