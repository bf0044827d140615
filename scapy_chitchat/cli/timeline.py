# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat timeline``: what happened in the clusters of captures."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, get_args

import typer
from msgspec import UNSET

from scapy_chitchat.cli.clusters import Detector, Feeding, Times
from scapy_chitchat.cli.common import complain, console, counted, hush_scapy, stop_writing
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.moments import Clock, Moment
from scapy_chitchat.cli.options import FILTERS, OUTPUT, FileOptions, Files, Json, Observer, Subjects, moment, moment_of
from scapy_chitchat.cli.sentences import STYLES, sentence
from scapy_chitchat.cli.tables import table
from scapy_chitchat.cluster import Event
from scapy_chitchat.cluster.events import Kind
from scapy_chitchat.net.text import printable

KINDS: tuple[str, ...] = get_args(Kind)
"""The kinds of events, as the option has them."""


def known_kinds(values: list[str] | None) -> list[str]:
    """The callback of an option: kinds of events, also several with commas. Raises BadParameter for others."""
    wanted = [name.strip().lower() for value in values or () for name in value.split(",") if name.strip()]
    for name in wanted:
        if name not in KINDS:
            raise typer.BadParameter(f"there is no kind {name!r}; there are {', '.join(KINDS)}")
    return wanted


@dataclass(frozen=True)
class TimelineOptions(FileOptions, Subjects, Times, Detector):
    """What ``timeline`` takes beside the files."""

    PANEL: ClassVar[str] = FILTERS
    kinds: Annotated[
        list[str],
        typer.Option("--kind", metavar="KIND,...", callback=known_kinds, help=f"Only these kinds: {', '.join(KINDS)}."),
    ] = field(default_factory=list)
    observer: Observer = ""
    since: Annotated[
        str,
        typer.Option("--from", metavar="TIME", callback=moment, help="From then on: a date, epoch seconds or +12.5."),
    ] = ""
    until: Annotated[str, typer.Option("--to", metavar="TIME", callback=moment, help="Up to then.")] = ""
    summary: Annotated[
        bool, typer.Option("--summary", rich_help_panel=OUTPUT, help="How many of each kind, by node.")
    ] = False
    json: Json = False

    def __post_init__(self) -> None:
        """Raises BadParameter where the time ends before it begins, or two forms are asked for."""
        super().__post_init__()
        since, until = moment_of(self.since), moment_of(self.until)
        if since and until and since.relative == until.relative and since.nanoseconds > until.nanoseconds:
            raise typer.BadParameter(f"--from {self.since} is after --to {self.until}")
        if self.json and self.summary:
            raise typer.BadParameter("choose one of --json and --summary")


def timeline(files: Files, wish: TimelineOptions) -> int:
    """Read the files and show what happened, as it happens. Gives the exit code."""
    hush_scapy()
    feeding = Feeding(files, wish, wish.settings(), silent=wish.summary)
    wanted = _Wanted(wish, feeding)
    printer = _printer(wish, feeding)
    shown = 0
    try:
        for event in feeding.events(moment_of(wish.until)):
            if wanted.has(event):
                printer.show(event)
                shown += 1
    except KeyboardInterrupt:
        complain("interrupted")
    except BrokenPipeError:
        stop_writing()
        return 0
    printer.finish()
    return feeding.end("" if shown else "no event that passes the filters")


class _Wanted:
    """Which events to show."""

    def __init__(self, wish: TimelineOptions, feeding: Feeding) -> None:
        self.wish = wish
        self.feeding = feeding
        self.since: Moment | None = moment_of(wish.since)

    def has(self, event: Event) -> bool:
        """Whether the event passes every filter."""
        wish = self.wish
        if wish.kinds and event.event not in wish.kinds:
            return False
        if self.since is not None and event.time < self.since.since_epoch(self.feeding.first):
            return False
        if wish.cluster and event.cluster_id != wish.cluster:
            return False
        observer = event.observer.node_id if event.observer else None
        return (
            _matches(wish.node, event.node_id)
            and _matches(wish.observer, observer)
            and _matches(wish.key, None if event.key is UNSET else event.key)
        )


def _matches(pattern: str, name: str | None) -> bool:
    return not pattern or (name is not None and fnmatchcase(name, pattern))


# --- a line an event ---


def _shown_by(event: Event) -> tuple[object, ...]:
    return event.frame, event.time, event.cluster_id, event.node_id, event.generation_id


def _unread(events: list[Event]) -> str:
    """Several messages that one node did not read."""
    kinds = Counter(each.type for each in events)
    counts = ", ".join(f"{count:,} {printable(kind)}" for kind, count in kinds.items())
    sources = len({each.source for each in events})
    return (
        f"{printable(events[0].node_id)} never read {len(events):,} messages of {counted(sources, 'node')} ({counts}): "
        "lost, or its buffer was full"
    )


class _Json:
    """An object a line."""

    def show(self, event: Event) -> None:
        sys.stdout.buffer.write(event.as_json() + b"\n")

    def finish(self) -> None:
        sys.stdout.flush()


class _Lines:
    """A line an event, for people; what a node did not read at one time is one line."""

    def __init__(self, wish: TimelineOptions, feeding: Feeding) -> None:
        self.zone = wish.zone
        self.feeding = feeding
        self.clock: Clock | None = None
        self.several = not wish.cluster
        self.clusters: set[str | None] = set()
        self.out = console()
        self.unread: list[Event] = []
        """What a node did not read, of one message that shows it."""

    def show(self, event: Event) -> None:
        if self.unread and not (event.event == "not-read" and _shown_by(event) == _shown_by(self.unread[0])):
            self.finish()
        if event.event == "not-read":
            self.unread.append(event)
        else:
            self._line(event, sentence(event))

    def finish(self) -> None:
        """Show what was kept."""
        if self.unread:
            unread, self.unread = self.unread, []
            self._line(unread[0], sentence(unread[0]) if len(unread) == 1 else _unread(unread))

    def _line(self, event: Event, said: str) -> None:
        self.clock = self.clock or self.feeding.clock(self.zone)
        self.clusters.add(event.cluster_id)
        cluster = f"{printable(event.cluster_id)}: " if self.several and len(self.clusters) > 1 else ""
        frame = f"#{event.frame}" if event.frame is not None else ""
        line = f"{self.clock.text(event.time):>12}  {frame:>8}  {event.event:<17} {cluster}{said}"
        self.out.print(line, style=STYLES.get(event.event), markup=False, soft_wrap=True)


class _Counts:
    """How many of each kind, by node."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def show(self, event: Event) -> None:
        self.counts[event.event, printable(event.node_id) if event.node_id is not None else "-"] += 1

    def finish(self) -> None:
        rows = [[kind, node, f"{count:,}"] for (kind, node), count in sorted(self.counts.items(), key=_by_kind)]
        if rows:
            console().print(table("Events", ["kind", "node"], ["events"], rows))


def _by_kind(entry: tuple[tuple[str, str], int]) -> tuple[int, int, str]:
    (kind, node), count = entry
    return KINDS.index(kind), -count, node


def _printer(wish: TimelineOptions, feeding: Feeding) -> _Json | _Lines | _Counts:
    if wish.summary:
        return _Counts()
    return _Json() if wish.json else _Lines(wish, feeding)


COMMAND = Command(
    timeline,
    more="""
A line an event: who joined, restarted, died for whom, which key changed, which version was everywhere when, what was
lost. Two events of one moment stand in the order in which the messages show them.

A dead verdict is the observer's own. When it comes with "silent", look who was silent: a node that was paused calls all
others dead when it wakes.
""",
    examples=(
        "scapy-chitchat timeline capture.pcap",
        "scapy-chitchat timeline --kind dead,alive,silent,restarted capture.pcap",
        "scapy-chitchat timeline --node indexer-0 --key readiness --utc capture.pcap",
        "scapy-chitchat timeline --from +10 --to +20 --json capture.pcap | jq .event",
        "scapy-chitchat timeline --summary capture.pcap",
    ),
)
