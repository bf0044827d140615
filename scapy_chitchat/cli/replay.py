# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat replay``: captured messages sent again."""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, ClassVar

import typer

from scapy_chitchat.capture import CapturedMessage, CaptureError
from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, MOST, CommandFailed, complain, counted, hush_scapy
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.lines import JsonPrinter, LinePrinter
from scapy_chitchat.cli.options import (
    CLUSTER_ID,
    FILTERS,
    INTERFACE,
    OUTPUT,
    TO,
    AllowRemote,
    Files,
    Json,
    Ports,
    Speed,
    Types,
    Write,
)
from scapy_chitchat.cli.status import StatusLine, stop_cleanly, target_address
from scapy_chitchat.net.addresses import split_address
from scapy_chitchat.net.text import printable
from scapy_chitchat.net.udp import Address
from scapy_chitchat.node.probe import ProbeError, probe
from scapy_chitchat.replay.channels import ToFile, ToInterface, ToNode, is_loopback
from scapy_chitchat.replay.holding import Noting
from scapy_chitchat.replay.messages import (
    NAMES_ELSEWHERE,
    REFUSED,
    Channel,
    Choice,
    Messages,
    Pace,
    Tally,
    play,
)
from scapy_chitchat.replay.rewrite import LoopbackAddresses, Rewriting, parse_address_mapping, parse_mapping


@dataclass(frozen=True)
class Where:
    """Where the messages go."""

    PANEL: ClassVar[str] = "Where to"
    to: Annotated[str, TO] = ""
    write: Write = ""
    as_captured: Annotated[
        bool, typer.Option("--as-captured", help="Whole packets, from and to the captured addresses.")
    ] = False
    interface: Annotated[str, INTERFACE] = ""
    allow_remote: AllowRemote = False
    verify: Annotated[
        bool, typer.Option("--verify", help="Ask the node afterwards whether it holds what was sent.")
    ] = False

    def __post_init__(self) -> None:
        """Raises BadParameter where it is nowhere, or two places at once."""
        if self.verify and (self.write or not self.to):
            raise typer.BadParameter("--verify goes with --to, and not with -w: it asks the node")
        if not (self.to or self.write or self.as_captured):
            raise typer.BadParameter("say where to: --to HOST:PORT, -w FILE, or --as-captured -i IFACE")
        if self.as_captured and (self.to or self.write):
            raise typer.BadParameter("--as-captured goes with neither --to nor -w")
        if self.as_captured != bool(self.interface):
            raise typer.BadParameter("--as-captured and -i IFACE belong together")


@dataclass(frozen=True)
class Which:
    """Which messages go there."""

    PANEL: ClassVar[str] = FILTERS
    sender: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="NODE",
            help="Only what this node sent: a node_id, an address, or IP:PORT, with wildcards.",
        ),
    ] = ""
    types: Types = field(default_factory=list)
    ports: Ports = field(default_factory=list)
    skip_refused: Annotated[bool, typer.Option("--skip-refused", help="Leave out what nodes refuse.")] = False


@dataclass(frozen=True)
class When:
    """When each message goes there."""

    PANEL: ClassVar[str] = "When"
    speed: Speed = 1.0
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N", min=0.001, max=MOST, help="N messages a second, evenly.")
    ] = None
    asap: Annotated[bool, typer.Option("--asap", help="As fast as the node takes them.")] = False
    no_window: Annotated[
        bool, typer.Option("--no-window", help="With --asap: a flood, whether or not the node has room for it.")
    ] = False
    max_gap: Annotated[
        float | None,
        typer.Option("--max-gap", metavar="SECONDS", min=0, max=MOST, help="Wait no longer for the next message."),
    ] = None
    loop: Annotated[
        int, typer.Option("--loop", metavar="N", min=0, max=MOST, help="N times over; 0: until stopped.")
    ] = 1

    def __post_init__(self) -> None:
        """Raises BadParameter where more than one pace is asked for."""
        if (self.speed != 1.0) + bool(self.rate) + self.asap > 1:
            raise typer.BadParameter("choose one of --speed, --rate and --asap")
        if self.no_window and not self.asap:
            raise typer.BadParameter("--no-window goes with --asap")
        if self.max_gap is not None and (self.rate or self.asap):
            raise typer.BadParameter("--max-gap is for the pauses of the capture; --rate and --asap have none of them")

    @property
    def pace(self) -> Pace:
        """The pace, as a channel keeps it."""
        return Pace(speed=self.speed, rate=self.rate, asap=self.asap, max_gap=self.max_gap)


@dataclass(frozen=True)
class Changes:
    """How the messages are rewritten."""

    PANEL: ClassVar[str] = "Rewriting"
    cluster_id: Annotated[str | None, CLUSTER_ID] = None
    map_node: Annotated[
        list[str], typer.Option("--map-node", metavar="OLD=NEW", help="Rename a node_id (again for more).")
    ] = field(default_factory=list)
    map_addr: Annotated[
        list[str],
        typer.Option(
            "--map-addr",
            metavar="OLD=NEW",
            help="Change a gossip address, IP or IP:PORT, in digests, deltas and packets (again for more).",
        ),
    ] = field(default_factory=list)
    to_loopback: Annotated[
        bool,
        typer.Option("--to-loopback", help="Change all other gossip addresses, each to one of 127.0.0.0/8."),
    ] = False
    new_generation: Annotated[
        bool,
        typer.Option(
            "--new-generation", help="generation_ids as if the nodes were started now; once more with each --loop."
        ),
    ] = False
    heartbeat_offset: Annotated[
        int,
        typer.Option("--heartbeat-offset", metavar="N", help="Add N to all heartbeats; once more with each --loop."),
    ] = 0
    version: Annotated[
        int | None, typer.Option("--version", metavar="0|1", min=0, max=1, help="Recode to V0 or V1.")
    ] = None
    fill_gaps: Annotated[
        bool,
        typer.Option("--fill-gaps", help="Make deltas start where a node that heard all the rest stands."),
    ] = False

    def rewriting(self, target: Address | None) -> Rewriting:
        """The rewriting that these ask for, on the way to a target. Raises BadParameter for a mapping that is none."""
        try:
            addresses = parse_address_mapping(self.map_addr)
            taken = {split_address(new)[0] for new in addresses.values()} | ({str(target[0])} if target else set())
            return Rewriting(
                cluster_id=self.cluster_id,
                nodes=parse_mapping(self.map_node),
                addresses=addresses,
                loopback=LoopbackAddresses(taken) if self.to_loopback else None,
                new_generation=self.new_generation,
                heartbeat_offset=self.heartbeat_offset,
                version=self.version,
                fill_gaps=self.fill_gaps,
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


@dataclass(frozen=True)
class Answers:
    """How the node's answers are shown."""

    PANEL: ClassVar[str] = OUTPUT
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="A line an answer.")] = False
    json: Json = False

    def printer(self) -> Callable[[CapturedMessage], None] | None:
        """What shows an answer; None where none is to be shown."""
        if self.json:
            return JsonPrinter().show
        return LinePrinter(verbose=False, explain=False).show if self.verbose else None


def replay(files: Files, where: Where, which: Which, when: When, changes: Changes, answers: Answers) -> int:
    """Send the messages of the files and say what happened. Gives the exit code."""
    if where.write and not when.loop:
        raise typer.BadParameter("-w with --loop 0 would never end")
    hush_scapy()
    stop_cleanly()
    target = target_address(where.to, where.allow_remote) if where.to else None
    rewriting = changes.rewriting(target)
    messages = Messages(
        files,
        rewriting=rewriting,
        choice=Choice(frozenset(which.types), which.sender),
        pace=when.pace,
        passes=when.loop,
        ports=which.ports,
        skip_refused=which.skip_refused,
        stays_here=not (where.write or where.allow_remote),
    )
    tally = messages.tally
    channel = _channel(where, target, rewriting, tally, answers, window=when.asap and not when.no_window)
    noting = Noting(channel) if where.verify else None
    started = time.perf_counter()
    status = StatusLine(lambda: _progress(tally, time.perf_counter() - started))
    code = 0
    try:
        play(messages, noting or channel, watch=status.update, pauses=_say_that_it_pauses)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except CaptureError as error:
        status.clear()
        complain(str(error))
        code = BAD_INPUT
    status.clear()
    sys.stdout.flush()
    for line in summary(tally, where, when):
        print(line, file=sys.stderr if answers.json else sys.stdout)
    code = code or _say_what_is_wrong(messages, files, where, which)
    if noting and tally.sent and code != INTERRUPTED:
        code = _verify(noting, where) or code
    return code


def _say_what_is_wrong(messages: Messages, files: Sequence[str], where: Where, which: Which) -> int:
    """Say what a person should know of what was sent, and what was not. Gives the exit code."""
    tally = messages.tally
    if messages.unused and tally.sent:
        complain(f"nothing in {', '.join(files)} is called {', '.join(map(printable, sorted(messages.unused)))}")
    if tally.skipped[NAMES_ELSEWHERE] and tally.sent:
        kept_back = counted(tally.skipped[NAMES_ELSEWHERE], "message")
        complain(f"kept back {kept_back} {NAMES_ELSEWHERE}: {_KEPT_BACK}")
    trouble = _trouble(messages, files, where, which)
    if trouble:
        complain(trouble)
    return BAD_INPUT if trouble else 0


MOST_DIFFERENCES = 20
"""Differences that are told one by one."""


def _verify(noting: Noting, where: Where) -> int:
    """Ask the node for all that it holds, and say what of that which was sent is not there. Gives the exit code."""
    if noting.cluster_id is None:
        complain("cannot verify: no Syn was sent, so the node's cluster is not known")
        return BAD_INPUT
    try:
        told = probe(where.to, noting.cluster_id, allow_remote=where.allow_remote)
    except ProbeError as error:
        complain(f"cannot verify: {error}")
        return BAD_INPUT
    if not told.is_complete:
        complain(f"the node did not tell all: {told.trouble or 'a key-value fits no datagram'}")
    differences = list(noting.differences(told.members))
    for line in differences[:MOST_DIFFERENCES]:
        complain(line)
    if len(differences) > MOST_DIFFERENCES:
        complain(f"and {counted(len(differences) - MOST_DIFFERENCES, 'more difference')}")
    if differences:
        complain("the node does not hold all that was sent: it ignores deltas that leave a gap, see --fill-gaps")
    return BAD_INPUT if differences or not told.is_complete else 0


_KEPT_BACK = "a node gossips to these; --to-loopback or --map-addr changes them, --allow-remote sends them as they are"


def _channel(
    where: Where, target: Address | None, rewriting: Rewriting, tally: Tally, answers: Answers, *, window: bool
) -> Channel:
    if where.write:
        return ToFile(where.write, rewriting, target)
    if target:
        return ToNode(target, tally, answers.printer(), window=window)
    interface = where.interface
    try:
        if not (where.allow_remote or is_loopback(interface)):
            raise typer.BadParameter(f"packets on {interface} leave this machine: say --allow-remote if they may")
        return ToInterface(interface, rewriting)
    except PermissionError:
        raise CommandFailed("whole packets need the rights of root (CAP_NET_RAW); --to needs none") from None
    except OSError as error:
        if error.errno == errno.ENODEV:
            there = ", ".join(sorted(name for _, name in socket.if_nameindex()))
            raise CommandFailed(f"there is no interface {printable(interface)}; there are {there}") from None
        raise CommandFailed(f"{printable(interface)}: {error.strerror or error}") from None


def _say_that_it_pauses(seconds: float) -> None:
    complain(f"the next message is due in {timedelta(seconds=round(min(seconds, MOST)))}; --max-gap shortens pauses")


# --- what happened, in words ---


def _progress(tally: Tally, seconds: float) -> str:
    sent = tally.sent.total()
    return f"{seconds:6.1f} s  {sent:,} sent, {counted(tally.answers.total(), 'answer')}, {tally.unanswered:,} open"


def summary(tally: Tally, where: Where, when: When) -> list[str]:
    """What was sent, and what came back."""
    sent = tally.sent.total()
    done = "written" if where.write else "sent"
    speed = f", {sent / tally.seconds:,.0f} a second" if tally.seconds and not where.write else ""
    lines = [f"{done:<11} {counted(sent, 'message')}, {counted(tally.bytes, 'byte')} in {tally.seconds:.2f} s{speed}"]
    lines.append(f"            {_counts(tally.sent)}")
    if tally.skipped and sent:
        lines.append(f"skipped     {tally.skipped.total():,}: {_counts(tally.skipped)}")
    if where.to and not where.write:
        want = "wants" if tally.wanted == 1 else "want"
        lines.append(f"answered    {tally.answered:,} of {tally.wanted:,} that {want} an answer")
        lines.append(f"BadCluster  {tally.answers['BadCluster']:,}")
        lines.append(f"unanswered  {tally.unanswered:,}")
        if tally.dropped:
            lines.append(f"dropped     {tally.dropped:,}")
        if tally.answers[REFUSED]:
            lines.append(f"no messages {counted(tally.answers[REFUSED], 'datagram')} came back that no node would take")
    if not (where.write or when.asap):
        lines.append(f"latest      {tally.late * 1000:.1f} ms behind its moment")
    return lines


def _counts(counter: Counter[str]) -> str:
    words = [f"{count:,} {'that nodes refuse' if name == REFUSED else name}" for name, count in counter.most_common()]
    return ", ".join(words) or "none"


def _trouble(messages: Messages, files: Sequence[str], where: Where, which: Which) -> str:
    """What a person should do now, if anything."""
    tally = messages.tally
    if not tally.sent and tally.skipped:
        why = f"; {_KEPT_BACK}" if tally.skipped[NAMES_ELSEWHERE] else ""
        return f"nothing to send, all was skipped: {_counts(tally.skipped)}{why}"
    if not tally.sent:
        if which.sender and messages.senders.met:
            met = ", ".join(printable(name) for name in sorted(messages.senders.met)[:20])
            return f"{printable(which.sender)} sent nothing in {', '.join(files)}; there are {met}"
        return f"no chitchat messages to send in {', '.join(files)}"
    if tally.dropped:
        lost = counted(tally.dropped, "datagram")
        return f"the kernel dropped {lost}: the node took them too slowly; --rate, or --asap without --no-window, waits"
    if where.write or not where.to or not tally.wanted:
        return ""
    if tally.nobody and not tally.answers:
        return f"nothing listens at {where.to}"
    if tally.answers["BadCluster"] and tally.answers["BadCluster"] >= tally.sent["Syn"]:
        return f"the node at {where.to} is of another cluster: say its name with --cluster-id"
    return "" if tally.answers else f"nothing at {where.to} answered"


COMMAND = Command(
    replay,
    more="""
All messages go to the one node (--to), from one socket; its answers are counted, and shown with -v or --json. A message
that nodes refuse is passed on as it is.

A node gossips to the addresses that it hears of: messages that name others than this machine's are kept back without
--allow-remote. --to-loopback changes them all, each to a loopback address of its own, so that a capture of production
can be replayed at home.

A node ignores a delta that starts behind a version that it never had. For a capture that begins in the middle of a
cluster's life, --fill-gaps makes deltas start where the node stands.
""",
    examples=(
        "scapy-chitchat replay --to 127.0.0.1:7280 --cluster-id laptop capture.pcap",
        "scapy-chitchat replay --to 127.0.0.1:7280 --speed 10 \\\n"
        "    --map-node indexer-0=a --map-addr 10.0.0.1=127.0.0.2 capture.pcap",
        "scapy-chitchat replay --to 127.0.0.1:7280 --version 0 --new-generation \\\n    --fill-gaps capture.pcap",
        "scapy-chitchat replay --to 127.0.0.1:7280 --to-loopback production.pcap",
        "scapy-chitchat replay -w rewritten.pcapng --cluster-id laptop capture.pcap",
        "scapy-chitchat replay --as-captured -i lo --loop 0 --rate 1000 capture.pcap",
    ),
)
