# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat follow``: one key on its way through the cluster."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import typer

from scapy_chitchat.cli.clusters import Detector, Feeding, Times, run_text
from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, complain, console, counted, hush_scapy
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.moments import SECOND, Clock
from scapy_chitchat.cli.options import FILTERS, OUTPUT, FileOptions, Files, Json
from scapy_chitchat.cluster import Rung, Step
from scapy_chitchat.net.text import harmless_json, printable

WIDTH = 40
"""Characters of the longest bar."""
LONGEST_VALUE = 80
"""Characters of a value that is shown."""

REASONS = {
    "no-round": "nobody gossiped it there",
    "gap": "a section did not fit what it has",
    "stuck": "the next key-value fits no datagram",
    "not-read": "sent, but not read",
    "silent": "says nothing any more",
    None: "not yet",
}
"""Why an observer is behind."""

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key; * and ? are wildcards.")]


@dataclass(frozen=True)
class FollowOptions(FileOptions, Times, Detector):
    """What ``follow`` takes beside the key and the files."""

    PANEL: ClassVar = FILTERS
    node: Annotated[str, typer.Option("--node", metavar="ID", help="Only of this node; * and ? are wildcards.")] = ""
    cluster: Annotated[str, typer.Option("--cluster", metavar="ID", help="Only of this cluster_id.")] = ""
    last: Annotated[
        int, typer.Option("--last", metavar="N", min=1, rich_help_panel=OUTPUT, help="Only the last N versions.")
    ] = 1000
    json: Json = False


def follow(key: Key, files: Files, wish: FollowOptions) -> int:
    """Read the files and show the way of each version of the key. Gives the exit code."""
    hush_scapy()
    feeding = Feeding(files, wish, wish.settings((key, wish.node or "*")), silent=True)
    interrupted = False
    try:
        for _ in feeding.events():
            pass
    except KeyboardInterrupt:
        interrupted = True
        complain("interrupted: what follows is as of the last message read")
    steps = [each for each in feeding.cluster.followed() if not wish.cluster or each.cluster_id == wish.cluster]
    for step in steps[-wish.last :]:
        if wish.json:
            sys.stdout.buffer.write(harmless_json(msgspec.json.encode(step)) + b"\n")
        else:
            _Ladder(step, feeding.clock(wish.zone)).print()
    if not steps and not interrupted and not feeding.sources.failed:
        complain(feeding.nothing_found(f"of key {printable(key)}"))
    feeding.notes()
    return INTERRUPTED if interrupted else BAD_INPUT if feeding.sources.failed else 0


class _Ladder:
    """One version: a line an observer, with a bar as long as it took."""

    def __init__(self, step: Step, clock: Clock) -> None:
        self.step = step
        self.clock = clock
        self.out = console()

    def print(self) -> None:
        """The version, then the observers in the order in which they had it."""
        step = self.step
        value = printable(step.value)
        shown = f'"{value}"' if len(value) <= LONGEST_VALUE else f'"{value[:LONGEST_VALUE]}…"'
        said = "" if step.status == "Set" else f" ({step.status})"
        self.out.print(
            f"{printable(step.subject.node_id)} of {run_text(step.subject.generation_id)}: {printable(step.key)} = "
            f"{shown}{said}, version {step.version}, at its owner by {self.clock.text(step.owner_time)}",
            markup=False,
            style="bold",
            soft_wrap=True,
        )
        there = [(each, each.time - step.owner_time) for each in step.rungs if each.time is not None]
        longest = max([taken for _, taken in there], default=0)
        width = max((len(printable(each.observer.node_id)) for each in step.rungs), default=0)
        for each, taken in there:
            bar = "━" * max(1, round(WIDTH * max(taken, 0) / longest)) if longest > 0 else "━"
            self._line(width, each, f"{taken / SECOND:+.3f} s", bar, "green")
        for each in step.rungs:
            if each.time is None:
                self._line(width, each, "behind", REASONS[each.why], "red")
        behind = sum(each.time is None for each in step.rungs)
        self.out.print(f"  {self._sum(len(there), behind, longest)}", markup=False)
        self.out.print()

    def _sum(self, there: int, behind: int, longest: int) -> str:
        if not self.step.rungs:
            return "no other node was there to have it"
        if behind:
            return f"{counted(there, 'observer')} had it, {behind} did not"
        return f"all {counted(there, 'observer')} had it after {longest / SECOND:.3f} s"

    def _line(self, width: int, rung: Rung, said: str, more: str, style: str) -> None:
        name = printable(rung.observer.node_id)
        self.out.print(f"  {name:<{width}}  {said:>10}  {more}", markup=False, style=style, soft_wrap=True)


COMMAND = Command(
    follow,
    more="""
Each version of the key: its value, when its owner had it, and when each observer had it, in seconds after its owner.
Who is behind at the end of the capture stands last, with the reason.

An owner's change is first seen in its next Syn, so all times may be short by up to a gossip interval.
""",
    examples=(
        "scapy-chitchat follow readiness capture.pcap",
        "scapy-chitchat follow readiness --node indexer-0 --last 3 capture.pcap",
        "scapy-chitchat follow 'indexer.task:*' --json capture.pcap | jq '.rungs[] | select(.time == null)'",
    ),
)
