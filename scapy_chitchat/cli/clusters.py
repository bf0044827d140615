# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands that speak of nodes share: their options, captures fed to the engine, and how runs are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, get_args

import typer

from scapy_chitchat.capture import CapturedMessage, Counters, notes
from scapy_chitchat.cli.common import complain, counted
from scapy_chitchat.cli.moments import Clock, Moment, Zone, generation_text
from scapy_chitchat.cli.options import OUTPUT, FileOptions
from scapy_chitchat.cli.showing import all_messages_in
from scapy_chitchat.cli.sources import Sources
from scapy_chitchat.cluster import Cluster, ClusterState, Estimate, Estimates, Event, Settings
from scapy_chitchat.cluster.settings import RulesName
from scapy_chitchat.net.text import printable


def nanoseconds(message: CapturedMessage) -> int:
    """When a message was captured: nanoseconds since the epoch."""
    return message.datagram.nanoseconds


RULES: tuple[RulesName, ...] = get_args(RulesName)


def rules_name(value: str) -> str:
    """The callback of an option: a version of the crate that the engine has rules of. Raises BadParameter."""
    if value and value not in RULES:
        raise typer.BadParameter(f"there are no rules {value!r}; there are {', '.join(RULES)}")
    return value


@dataclass(frozen=True)
class Times:
    """How times are shown: as seconds from the first message, unless dates are asked for."""

    PANEL: ClassVar = OUTPUT
    utc: Annotated[bool, typer.Option("--utc", help="Times as dates in UTC.")] = False
    local: Annotated[bool, typer.Option("--local", help="Times as dates in the local zone.")] = False

    def __post_init__(self) -> None:
        """Raises BadParameter where both are asked for."""
        if self.utc and self.local:
            raise typer.BadParameter("choose one of --utc and --local")

    @property
    def zone(self) -> Zone:
        """Which of them."""
        return "utc" if self.utc else "local" if self.local else "start"


@dataclass(frozen=True)
class Detector:
    """The nodes' settings, where they differ from what the traffic shows and from the crate's defaults."""

    PANEL: ClassVar = "Settings of the nodes"
    interval: Annotated[
        float,
        typer.Option("--interval", metavar="SECONDS", min=0, help="Between gossip rounds; else as seen."),
    ] = 0.0
    initial_interval: Annotated[
        float,
        typer.Option("--initial-interval", metavar="SECONDS", min=0, help="The failure detector's; else 5."),
    ] = 0.0
    threshold: Annotated[
        float, typer.Option("--phi-threshold", metavar="PHI", min=0, help="Above it a node is dead.")
    ] = 8.0
    window: Annotated[
        int, typer.Option("--sampling-window", metavar="N", min=1, help="Heartbeat intervals that are kept.")
    ] = 1000
    dead_grace: Annotated[
        float, typer.Option("--dead-grace", metavar="SECONDS", min=0, help="Until a dead node is forgotten.")
    ] = 0.0
    rules: Annotated[
        str,
        typer.Option(
            "--rules",
            metavar="VERSION",
            callback=rules_name,
            help="As nodes of 0.9, 0.10.0 or 0.10.1 and later.",
        ),
    ] = ""

    def settings(self, follow: tuple[str, str] | None = None) -> Settings:
        """The engine's settings."""
        return Settings(
            interval=self.interval or None,
            initial_interval=self.initial_interval or None,
            threshold=self.threshold,
            window=self.window,
            dead_grace=self.dead_grace or None,
            rules=next((each for each in RULES if each == self.rules), None),
            follow=follow,
        )


class Feeding:
    """Captures on their way into the engine."""

    def __init__(self, files: Sequence[str], reading: FileOptions, settings: Settings, *, silent: bool) -> None:
        """``silent``: nothing goes to standard output meanwhile, so that a progress bar disturbs nobody."""
        self.cluster = Cluster(settings)
        self.reading = reading
        self.counters = Counters()
        self.sources = Sources(files, self.counters, as_given=reading.as_given, silent=silent)
        self.first = 0
        """When the first message came; nanoseconds since the epoch."""
        self.last = 0
        self.messages = 0

    def events(self, until: Moment | None = None) -> Iterator[Event]:
        """Feed one message after the other; gives what happens, also what is known at the end only."""
        for message in self._messages():
            time = nanoseconds(message)
            self.first = self.first or time
            if until is not None and time > until.since_epoch(self.first):
                break
            self.messages += 1
            self.last = max(self.last, time)
            yield from self.cluster.feed(message)
        yield from self.cluster.finish()

    def _messages(self) -> Iterator[CapturedMessage]:
        return all_messages_in(self.sources.frames(), self.reading, self.counters, self.sources.show_progress)

    def at(self, moment: Moment | None, wanted: str) -> list[ClusterState]:
        """The clusters of that cluster_id, or all, at that moment, or when the last message came."""
        time = None if moment is None else max(moment.since_epoch(self.first), self.last)
        return [each for each in self.cluster.at(time) if not wanted or each.cluster_id == wanted]

    def nothing_found(self, wanted: str) -> str:
        """What to say when there was nothing of what was wanted."""
        if self.messages:
            return f"nothing {wanted} in {counted(self.messages, 'message')}"
        return self.sources.nothing_found(self.reading.ports)

    def notes(self) -> None:
        """What was lost, passed over or could not be read: a line each."""
        for line in notes(self.counters):
            complain(line)

    def clock(self, zone: Zone) -> Clock:
        """What shows the capture's times."""
        return Clock(zone, self.first)


# --- words ---


def run_text(generation_id: int, *, is_earlier: bool = False) -> str:
    """A run of a node: when it started, as far as its generation_id tells."""
    return f"{generation_text(generation_id)}{' (earlier)' if is_earlier else ''}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of these names, and how many more there are."""
    shown = ", ".join(printable(each) for each in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def guesses(told: Estimates) -> Iterator[str]:
    """What was guessed of the nodes' settings, a line each."""
    named: list[tuple[str, Estimate | None]] = [
        ("gossip interval", told.gossip_interval),
        ("grace period of tombstones", told.tombstone_grace),
        ("grace period of dead nodes", told.dead_grace),
        ("initial interval of the failure detector", told.initial_interval),
    ]
    for name, guess in named:
        if guess is not None:
            yield f"{name} {guess.seconds:g} s, from {counted(guess.samples, 'observation')}"


def doubts(state: ClusterState, told: Estimates | None) -> Iterator[str]:
    """What the capture cannot tell, and what would help; a line each."""
    incomplete = [each.node_id for each in state.nodes if each.run == "current" and not each.complete]
    if incomplete:
        yield (
            f"not all key-values of {some(incomplete)} are known: they were sent before the capture began; a node "
            "tells all when 'scapy-chitchat probe' asks it while you capture"
        )
    if told is None:
        return
    if told.not_captured:
        yield f"{counted(told.not_captured, 'message')} that nodes read are not in the capture"
    if told.not_read:
        yield f"{counted(told.not_read, 'message')} never read by the receiver: lost, or its socket's buffer was full"
    if told.doubled:
        yield f"{counted(told.doubled, 'message')} captured twice, and taken once"
    if told.unassigned:
        yield f"{counted(told.unassigned, 'message')} of which no cluster can be told: no Syn came before"


def confidence(state: ClusterState, told: Estimates | None) -> str:
    """How well the messages explain what nodes stated."""
    if state.predicted is None or told is None:
        return "no digest entry could be predicted: too few messages"
    said = f"{state.predicted:.2%} of {counted(told.entries, 'digest entry', 'digest entries')} about others predicted"
    return said if state.predicted >= 0.99 else f"{said}: messages are missing, or nodes have other settings"
