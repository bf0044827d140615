# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat follow``: one key on its way through the cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar

import typer

from scapy_chitchat.cli.clusters import Detector, Feeding, Times, gaps, run_text
from scapy_chitchat.cli.common import complain, console, counted, hush_scapy
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.moments import SECOND, Clock
from scapy_chitchat.cli.options import FILTERS, OUTPUT, FileOptions, Files, Json, Node
from scapy_chitchat.cluster import Rung, Step
from scapy_chitchat.net.text import printable

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

    PANEL: ClassVar[str] = FILTERS
    node: Node = ""
    cluster: Annotated[str, typer.Option("--cluster", metavar="ID", help="Only of this cluster_id.")] = ""
    last: Annotated[
        int, typer.Option("--last", metavar="N", min=1, rich_help_panel=OUTPUT, help="Only the last N versions.")
    ] = 1000
    json: Json = False


def follow(key: Key, files: Files, wish: FollowOptions) -> int:
    """Read the files and show the way of each version of the key. Gives the exit code."""
    hush_scapy()
    feeding = Feeding(
        files, wish, wish.settings(follow=(key, wish.node or "*"), follow_limit=wish.last + 1), silent=True
    )
    try:
        for _ in feeding.events():
            pass
    except KeyboardInterrupt:
        complain("interrupted: what follows is as of the last message read")
    steps = [each for each in feeding.cluster.followed() if not wish.cluster or each.cluster_id == wish.cluster]
    for step in steps[-wish.last :]:
        if wish.json:
            sys.stdout.buffer.write(step.as_json() + b"\n")
        else:
            _Ladder(step, feeding.clock(wish.zone)).print()
    sys.stdout.flush()
    if len(steps) > wish.last:
        complain(f"only the last {counted(wish.last, 'version')}; --last shows more")
    code = feeding.end("" if steps else f"nothing of key {key!r}")
    for doubt in _doubts(feeding, key, wish):
        complain(doubt)
    return code


def _doubts(feeding: Feeding, key: str, wish: FollowOptions) -> Iterator[str]:
    """Of which nodes the key may have versions that nobody sent."""
    for state in feeding.at(None, wish.cluster):
        nodes = [each for each in state.nodes if fnmatchcase(each.node_id, wish.node or "*")]
        for gap in gaps(nodes):
            yield f"there may be later versions: {gap}"


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
        width = max((len(self._name(each)) for each in step.rungs), default=0)
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
        return f"{counted(there, 'observer')}, all had it after {longest / SECOND:.3f} s"

    def _name(self, rung: Rung) -> str:
        """The observer, with its run where there are several of that node_id."""
        node_id, name = rung.observer.node_id, printable(rung.observer.node_id)
        runs = [each.observer for each in self.step.rungs] + [self.step.subject]
        several = sum(each.node_id == node_id for each in runs) > 1
        return f"{name} of {run_text(rung.observer.generation_id)}" if several else name

    def _line(self, width: int, rung: Rung, said: str, more: str, style: str) -> None:
        self.out.print(f"  {self._name(rung):<{width}}  {said:>10}  {more}", markup=False, style=style, soft_wrap=True)


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
        "scapy-chitchat follow 'indexer.task:*' --json capture.pcap | jq '.observers[] | select(.time == null)'",
    ),
)
