# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages counted: the tables of ``--summary`` and ``--stats``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scapy_chitchat.cli.common import console
from scapy_chitchat.net.text import printable
from scapy_chitchat.records.checks import CODES

if TYPE_CHECKING:
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
"""Node pairs that are listed; the rest is summed up in one row."""


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
        self.first = self.last = ""

    def add(self, captured: CapturedMessage) -> None:
        """Count one message."""
        values: Any = captured.message or None
        kind = values.type if values else captured.values().get("type", "?")
        version = f"V{values.version}" if values else "refused"
        size = len(captured.data)
        self.types.setdefault((kind, version), _Sizes()).add(size)
        self.pairs.setdefault((captured.source, captured.destination), _Sizes()).add(size)
        if kind == "Syn" and values:
            self.clusters[values.cluster_id] += 1
        for code in {each.code for each in captured.findings}:
            self.codes[code] += 1
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


_SIZES = ["messages", "bytes", "mean", "largest"]


def _rows(counted: dict[tuple[str, str], _Sizes], most: int | None = None) -> list[list[str]]:
    ordered = sorted(counted.items(), key=lambda entry: -entry[1].count)
    rows = [[*key, *sizes.cells()] for key, sizes in ordered[:most]]
    if most is not None and len(ordered) > most:
        rest = sum(sizes.count for _, sizes in ordered[most:])
        rows.append([f"{len(ordered) - most:,} more pairs", "", f"{rest:,}", "", "", ""])
    return rows


def table(title: str, words: list[str], numbers: list[str], rows: list[list[str]]) -> Table:
    """A table with columns of words, then of numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in words:
        made.add_column(name, overflow="fold")
    for name in numbers:
        made.add_column(name, justify="right")
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
