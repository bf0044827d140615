# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands that speak of nodes share: their options, captures fed to the engine, and how runs are named."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, get_args

import typer

from scapy_chitchat.capture import CapturedMessage, Counters, notes
from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, complain, counted
from scapy_chitchat.cli.moments import Clock, Moment, Zone, date_text, generation_text
from scapy_chitchat.cli.options import OUTPUT, FileOptions
from scapy_chitchat.cli.showing import all_messages_in
from scapy_chitchat.cli.sources import Sources
from scapy_chitchat.cluster import Cluster, ClusterState, Estimate, Estimates, Event, NodeState, Settings
from scapy_chitchat.cluster.settings import RulesName
from scapy_chitchat.net.text import printable


def nanoseconds(message: CapturedMessage) -> int:
    """When a message was captured: nanoseconds since the epoch."""
    return message.datagram.nanoseconds


RULES: tuple[RulesName, ...] = get_args(RulesName)
"""The names of the rules, as the option has them."""


def rules_name(value: str) -> str:
    """The callback of an option: a version of the crate that the engine has rules of. Raises BadParameter."""
    if value and value not in RULES:
        raise typer.BadParameter(f"there are no rules {value!r}; there are {', '.join(RULES)}")
    return value


@dataclass(frozen=True)
class Times:
    """How times are shown: as seconds from the first message, unless dates are asked for."""

    PANEL: ClassVar[str] = OUTPUT
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

    PANEL: ClassVar[str] = "Settings of the nodes"
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

    def settings(self, follow: tuple[str, str] | None = None, follow_limit: int = 0) -> Settings:
        """The engine's settings. ``follow``: patterns of a key and a node_id, and how many versions to remember."""
        return Settings(
            interval=self.interval or None,
            initial_interval=self.initial_interval or None,
            threshold=self.threshold,
            window=self.window,
            dead_grace=self.dead_grace or None,
            rules=next((each for each in RULES if each == self.rules), None),
            follow=follow,
            follow_limit=follow_limit,
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
        """When the first message came, whether it was fed or not; nanoseconds since the epoch."""
        self.last = 0
        """When the last message that was fed came."""
        self.messages = 0
        self.goes_on = False
        """There are messages behind the last one that was fed."""
        self.interrupted = False
        self.each: Callable[[CapturedMessage], None] | None = None
        """Given each message behind the engine, for who counts messages as well."""
        self._feeds = False

    def events(self, until: Moment | None = None) -> Iterator[Event]:
        """Feed one message after the other; gives what happens, also what is known at the end only.

        Raises KeyboardInterrupt on Ctrl-C, but never in the middle of a message: the engine can be asked then.
        """
        before = signal.getsignal(signal.SIGINT)
        if callable(before):
            signal.signal(signal.SIGINT, self._interrupt)
        try:
            for message in self._messages(until):
                self._feeds = True
                happened = self.cluster.feed(message)
                if self.each is not None:
                    self.each(message)
                self._feeds = False
                yield from happened
                if self.interrupted:
                    raise KeyboardInterrupt
            yield from self.cluster.finish()
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, *_: object) -> None:
        self.interrupted = True
        if not self._feeds:
            raise KeyboardInterrupt

    def _messages(self, until: Moment | None) -> Iterator[CapturedMessage]:
        frames, tick = self.sources.frames(), self.sources.show_progress
        for message in all_messages_in(frames, self.reading, self.counters, tick):
            time = nanoseconds(message)
            self.first = self.first or time
            if until is not None and time > until.since_epoch(self.first):
                self.goes_on = True
                break
            self.messages += 1
            self.last = max(self.last, time)
            yield message

    def at(self, moment: Moment | None, wanted: str) -> list[ClusterState]:
        """The clusters of that cluster_id, or all, at that moment, or when the last message came."""
        time = None if moment is None else max(moment.since_epoch(self.first), self.last)
        return [each for each in self.cluster.at(time) if not wanted or each.cluster_id == wanted]

    def end(self, said: str = "") -> int:
        """What is to be said behind all the rest: ``said``, if anything, and what was lost of the captures.

        Gives the exit code.
        """
        if not (self.interrupted or self.sources.failed):
            if not self.messages:
                complain(self._no_message())
            elif said:
                complain(f"{said} in {counted(self.messages, 'message')}")
        for line in notes(self.counters):
            complain(line)
        return INTERRUPTED if self.interrupted else BAD_INPUT if self.sources.failed else 0

    def _no_message(self) -> str:
        if self.first:
            return f"no message by then: the first one came at {date_text(self.first)}"
        return self.sources.nothing_found(self.reading.ports)

    def clock(self, zone: Zone) -> Clock:
        """What shows the capture's times."""
        return Clock(zone, self.first)


# --- words ---


def run_text(generation_id: int, *, is_earlier: bool = False) -> str:
    """A run of a node: when it started, as far as its generation_id tells."""
    return f"{generation_text(generation_id)}{EARLIER if is_earlier else ''}"


EARLIER = " (earlier)"
"""What stands behind a run that a younger one has taken the place of."""


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
    yield from gaps(state.nodes)
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


def gaps(nodes: Sequence[NodeState]) -> Iterator[str]:
    """Of which nodes not all key-values are known, and why; a line each."""
    lacking = [each for each in nodes if each.run == "current" and not each.complete]
    if stuck := [each.node_id for each in lacking if each.stuck]:
        yield f"the next key-value of {some(stuck)} fits no datagram: nobody else gets it, nor what comes after it"
    if unsent := [each.node_id for each in lacking if not each.stuck]:
        yield (
            f"not all key-values of {some(unsent)} are known: nobody sent them while the capture ran; a node tells all "
            "it knows when 'scapy-chitchat probe' asks it meanwhile"
        )


def confidence(state: ClusterState, told: Estimates | None) -> str:
    """How well the messages explain what nodes stated."""
    if state.predicted is None or told is None:
        return "no digest entry could be predicted: too few messages"
    said = f"{state.predicted:.2%} of {counted(told.entries, 'digest entry', 'digest entries')} about others predicted"
    return said if state.predicted >= 0.99 else f"{said}: messages are missing, or nodes have other settings"
