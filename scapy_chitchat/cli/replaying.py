# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``replay`` does once it knows what is wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from scapy_chitchat.capture import CapturedMessage, CaptureError
from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, Failure, complain, hush_scapy
from scapy_chitchat.cli.lines import JsonPrinter, LinePrinter
from scapy_chitchat.cli.status import StatusLine, stop_on_sigterm, target_address
from scapy_chitchat.net.text import printable
from scapy_chitchat.replay.channels import ToFile, ToInterface, ToNode, is_loopback
from scapy_chitchat.replay.messages import (
    REFUSED,
    Channel,
    Choice,
    Messages,
    Pace,
    Tally,
    play,
)
from scapy_chitchat.replay.rewrite import Rewriting


@dataclass(frozen=True)
class Wish:
    """What to send, how changed, when, and where to."""

    to: str
    write: str
    interface: str
    allow_remote: bool
    choice: Choice
    ports: tuple[int, ...]
    skip_refused: bool
    pace: Pace
    passes: int
    rewriting: Rewriting
    verbose: bool
    json: bool


def replay_files(files: Sequence[str], wish: Wish) -> int:
    """Send the messages of the files and say what happened. Gives the exit code."""
    hush_scapy()
    stop_on_sigterm()
    messages = Messages(
        files,
        rewriting=wish.rewriting,
        choice=wish.choice,
        pace=wish.pace,
        passes=wish.passes,
        ports=wish.ports,
        skip_refused=wish.skip_refused,
    )
    tally = messages.tally
    channel = _channel(wish, tally)
    started = time.perf_counter()
    status = StatusLine(lambda: _progress(tally, time.perf_counter() - started))
    code = 0
    try:
        play(messages, channel, watch=status.update)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except CaptureError as error:
        status.clear()
        complain(str(error))
        code = BAD_INPUT
    status.clear()
    sys.stdout.flush()
    for line in summary(tally, wish):
        print(line, file=sys.stderr if wish.json else sys.stdout)
    if messages.unused:
        complain(f"nothing in {', '.join(files)} is called {', '.join(map(printable, sorted(messages.unused)))}")
    if trouble := _trouble(messages, files, wish):
        complain(trouble)
        code = code or BAD_INPUT
    return code


def _channel(wish: Wish, tally: Tally) -> Channel:
    target = target_address(wish.to, wish.allow_remote) if wish.to else None
    if wish.write:
        return ToFile(wish.write, wish.rewriting, target)
    if target:
        return ToNode(target, tally, _show(wish))
    try:
        if not (wish.allow_remote or is_loopback(wish.interface)):
            raise typer.BadParameter(f"packets on {wish.interface} leave this machine: say --allow-remote if they may")
        return ToInterface(wish.interface, wish.rewriting)
    except FileNotFoundError:
        raise Failure(f"there is no interface {wish.interface}") from None
    except PermissionError:
        raise Failure("whole packets need the rights of root (CAP_NET_RAW); --to needs none") from None
    except OSError as error:
        raise Failure(f"{wish.interface}: {error}") from None


def _show(wish: Wish) -> Callable[[CapturedMessage], None] | None:
    if wish.json:
        return JsonPrinter().show
    return LinePrinter(verbose=False, explain=False).show if wish.verbose else None


# --- what happened, in words ---


def _progress(tally: Tally, seconds: float) -> str:
    sent = tally.sent.total()
    return f"{seconds:6.1f} s  {sent:,} sent, {tally.answers.total():,} answers, {tally.unanswered:,} open"


def summary(tally: Tally, wish: Wish) -> list[str]:
    """What was sent, and what came back."""
    sent = tally.sent.total()
    done = "written" if wish.write else "sent"
    speed = f", {sent / tally.seconds:,.0f} a second" if tally.seconds and not wish.write else ""
    lines = [f"{done:<11} {sent:,} messages, {tally.bytes:,} bytes in {tally.seconds:.2f} s{speed}"]
    lines.append(f"            {_counts(tally.sent)}")
    if tally.skipped:
        lines.append(f"skipped     {tally.skipped.total():,}: {_counts(tally.skipped)}")
    if wish.to and not wish.write:
        lines.append(f"answered    {tally.answered:,} of {tally.wanted:,} that want an answer")
        lines.append(f"BadCluster  {tally.answers['BadCluster']:,}")
        lines.append(f"unanswered  {tally.unanswered:,}")
        if tally.answers[REFUSED]:
            lines.append(f"no messages {tally.answers[REFUSED]:,} datagrams came back that no node would take")
    if not (wish.write or wish.pace.asap):
        lines.append(f"latest      {tally.late * 1000:.1f} ms behind its moment")
    return lines


def _counts(counter: Any) -> str:
    words = [f"{count:,} {'that nodes refuse' if name == REFUSED else name}" for name, count in counter.most_common()]
    return ", ".join(words) or "none"


def _trouble(messages: Messages, files: Sequence[str], wish: Wish) -> str:
    """What a person should do now, if anything."""
    tally = messages.tally
    if not tally.sent:
        if wish.choice.sender and messages.senders.met:
            met = ", ".join(printable(name) for name in sorted(messages.senders.met)[:20])
            return f"{printable(wish.choice.sender)} sent nothing in {', '.join(files)}; there are {met}"
        return f"no chitchat messages to send in {', '.join(files)}"
    if wish.write or not wish.to or not tally.wanted:
        return ""
    if tally.nobody and not tally.answers:
        return f"nothing listens at {wish.to}"
    if tally.answers["BadCluster"] and tally.answers["BadCluster"] >= tally.sent["Syn"]:
        return f"the node at {wish.to} is of another cluster: say its name with --cluster-id"
    return "" if tally.answers else f"nothing at {wish.to} answered"
