# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat state``: the clusters in captures, at their end or at a time."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, TypeVar

import msgspec
import typer

from scapy_chitchat.cli.clusters import (
    Detector,
    Feeding,
    Times,
    confidence,
    doubts,
    guesses,
    run_text,
    some,
)
from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, complain, console, counted, hush_scapy
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.moments import Clock
from scapy_chitchat.cli.options import OUTPUT, FileOptions, Files, Json, Subjects, moment, moment_of
from scapy_chitchat.cli.tables import table
from scapy_chitchat.cluster import ClusterState, Estimates, KeyValueState, NodeState, ObserverState, ReplicaState
from scapy_chitchat.net.text import printable

LONGEST_VALUE = 80
"""Characters of a value that a table shows."""


@dataclass(frozen=True)
class StateOptions(FileOptions, Subjects, Times, Detector):
    """What ``state`` takes beside the files."""

    PANEL: ClassVar = OUTPUT
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="TIME",
            callback=moment,
            help="At this time: a date, epoch seconds, or +12.5 from the start.",
        ),
    ] = ""
    observer: Annotated[str, typer.Option("--observer", metavar="ID", help="As this node sees it.")] = ""
    keys: Annotated[bool, typer.Option("--keys", help="The key-values, too.")] = False
    differences: Annotated[bool, typer.Option("--differences", help="Only what observers disagree on.")] = False
    json: Json = False


def state(files: Files, wish: StateOptions) -> int:
    """Read the files and show the clusters. Gives the exit code."""
    hush_scapy()
    feeding = Feeding(files, wish, wish.settings(), silent=True)
    moment, interrupted = moment_of(wish.at), False
    try:
        for _ in feeding.events(moment):
            pass
    except KeyboardInterrupt:
        interrupted = True
        complain("interrupted: what follows is as of the last message read")
    estimates = {each.cluster_id: each for each in feeding.cluster.estimates()}
    found = feeding.at(moment, wish.cluster)
    for each in found:
        if wish.json:
            sys.stdout.buffer.write(narrowed(each, wish).as_json() + b"\n")
        else:
            told, clock = estimates.get(each.cluster_id), feeding.clock(wish.zone)
            _Tables(narrowed(each, wish), each, told, wish, clock).print()
    if not found and not interrupted and not feeding.sources.failed:
        complain(feeding.nothing_found(f"of cluster {wish.cluster!r}"))
    feeding.notes()
    return INTERRUPTED if interrupted else BAD_INPUT if feeding.sources.failed else 0


# --- what is wanted of a state ---


def narrowed(state: ClusterState, wish: StateOptions) -> ClusterState:
    """The state with only the nodes, keys and observers that are asked for."""
    if not (wish.node or wish.key or wish.observer):
        return state
    return msgspec.structs.replace(
        state,
        nodes=[_with_keys(each, wish.key) for each in state.nodes if _is_wanted(each.node_id, wish.node)],
        observers=[
            msgspec.structs.replace(
                each,
                replicas=[_with_keys(one, wish.key) for one in each.replicas if _is_wanted(one.node_id, wish.node)],
            )
            for each in state.observers
            if _is_wanted(each.node_id, wish.observer)
        ],
    )


def _is_wanted(name: str, pattern: str) -> bool:
    return not pattern or fnmatchcase(name, pattern)


_Held = TypeVar("_Held", NodeState, ReplicaState)


def _with_keys(held: _Held, pattern: str) -> _Held:
    if not pattern:
        return held
    kept = {key: value for key, value in held.key_values.items() if fnmatchcase(key, pattern)}
    return msgspec.structs.replace(held, key_values=kept)


# --- tables ---


class _Views:
    """How the observers see each run: the replicas of it that others hold."""

    def __init__(self, state: ClusterState) -> None:
        current = {_run(each) for each in state.nodes if each.run == "current"}
        self.of: dict[Run, list[tuple[str, ReplicaState]]] = defaultdict(list)
        for observer in state.observers:
            if _run(observer) not in current:
                continue  # an earlier run has seen what it has seen
            for replica in observer.replicas:
                if _run(replica) != _run(observer):
                    self.of[_run(replica)].append((observer.node_id, replica))

    def alive(self, node: NodeState) -> tuple[str, str]:
        """By how many of how many observers it is held for alive, and who does not."""
        judged = [(name, each.alive) for name, each in self.of[_run(node)] if each.alive is not None]
        unknown = len(self.of[_run(node)]) - len(judged)
        against = [name for name, alive in judged if not alive]
        said = f"{len(judged) - len(against)} of {len(judged)}" if judged else "unknown"
        return f"{said}, {unknown} unknown" if judged and unknown else said, some(against)

    def phi(self, node: NodeState) -> str:
        """The largest phi of an observer."""
        known = [each.phi for _, each in self.of[_run(node)] if each.phi is not None]
        return f"{max(known):.2f}" if known else "-"

    def behind(self, node: NodeState) -> str:
        """How many versions the worst observer lacks, and who that is."""
        lacking = [(node.max_version - each.max_version, name) for name, each in self.of[_run(node)]]
        worst = max(lacking, default=(0, ""))
        return f"{worst[0]:,} ({printable(worst[1])})" if worst[0] > 0 else "0" if lacking else "-"


Run = tuple[str, int, str]
"""What tells a run from all others: node_id, generation_id, gossip_advertise_addr."""


def _run(part: NodeState | ReplicaState | ObserverState) -> Run:
    return part.node_id, part.generation_id, part.gossip_advertise_addr


class _Tables:
    """The tables of one cluster. ``whole`` is the state before anything was left out."""

    def __init__(
        self, state: ClusterState, whole: ClusterState, told: Estimates | None, wish: StateOptions, clock: Clock
    ) -> None:
        self.state, self.whole, self.told, self.wish, self.clock = state, whole, told, wish, clock
        self.out = console()

    def print(self) -> None:
        """What is asked for, and behind it what was guessed and what cannot be told."""
        if self.wish.differences:
            self._differences()
        elif self.wish.observer:
            for each in self.state.observers:
                self._observer(each)
            if not self.state.observers:
                self.out.print(f"nobody called {printable(self.wish.observer)} sent anything", markup=False)
        else:
            self._nodes()
            if self.wish.keys or self.wish.key:
                for node in self.state.nodes:
                    self._key_values(f"Keys of {self._name(node)}", node.key_values)
        self._words()

    def _name(self, part: NodeState | ReplicaState | ObserverState) -> str:
        return f"{printable(part.node_id)} of {run_text(part.generation_id)}"

    def _nodes(self) -> None:
        views = _Views(self.whole)
        rows = []
        for node in self.state.nodes:
            alive, against = views.alive(node)
            keys = sum(each.status != "Delete" for each in node.key_values.values())
            rows.append(
                [
                    printable(node.node_id),
                    run_text(node.generation_id, is_earlier=node.run == "earlier"),
                    node.gossip_advertise_addr,
                    alive,
                    against,
                    views.phi(node),
                    f"{node.heartbeat:,}",
                    f"{node.max_version:,}",
                    f"{node.last_gc_version:,}",
                    f"{keys:,}" if node.complete else f"{keys:,}+",
                    views.behind(node),
                ]
            )
        name = "of an unknown cluster_id" if self.state.cluster_id is None else printable(self.state.cluster_id)
        title = f"Cluster {name} at {self.clock.text(self.state.time)}: {counted(self.state.messages, 'message')}"
        words = ["node", "run", "address", "alive for", "not for"]
        numbers = ["phi", "heartbeat", "max_version", "last_gc_version", "keys", "versions behind"]
        self.out.print(table(title, words, numbers, rows))

    def _observer(self, observer: ObserverState) -> None:
        rows = []
        for each in observer.replicas:
            own = _run(each) == _run(observer)
            verdict = {None: "unknown", True: "alive", False: "dead"}[each.alive]
            rows.append(
                [
                    printable(each.node_id),
                    run_text(each.generation_id),
                    each.gossip_advertise_addr,
                    "itself" if own else verdict,
                    "" if each.in_digest else "not in its digest",
                    "-" if each.phi is None else f"{each.phi:.2f}",
                    f"{each.heartbeat:,}",
                    f"{each.max_version:,}{'?' if each.presumed else ''}",
                    f"{each.last_gc_version:,}",
                    f"{len(each.key_values):,}{'+' if each.unknown_versions else ''}",
                ]
            )
        words = ["node", "run", "address", "verdict", ""]
        numbers = ["phi", "heartbeat", "max_version", "last_gc_version", "keys"]
        title = f"As {self._name(observer)} sees cluster {printable(self.state.cluster_id)}"
        self.out.print(table(title, words, numbers, rows))
        if any(each.presumed for each in observer.replicas):
            self.out.print("?: delivered to it, not proven read", markup=False)
        if self.wish.keys or self.wish.key:
            for each in observer.replicas:
                self._key_values(f"Keys of {self._name(each)}, as {self._name(observer)} has them", each.key_values)

    def _key_values(self, title: str, key_values: dict[str, KeyValueState]) -> None:
        if not key_values:
            return
        rows = [
            [
                printable(key),
                _shortened(each.value),
                each.status if each.certain else f"{each.status}?",
                f"{each.version:,}",
                "-" if each.since is None else self.clock.text(each.since),
            ]
            for key, each in sorted(key_values.items())
        ]
        self.out.print(table(title, ["key", "value", "status"], ["version", "since"], rows))
        if not all(each.certain for each in key_values.values()):
            self.out.print("?: may have been replaced by a version that is not in the capture", markup=False)

    def _differences(self) -> None:
        views = _Views(self.whole)
        rows = [row for node in self.state.nodes for row in self._disagreement(node, views)]
        if not rows:
            self.out.print(f"All observers of cluster {printable(self.state.cluster_id)} agree.", markup=False)
            return
        title = f"What observers of cluster {printable(self.state.cluster_id)} disagree on"
        self.out.print(table(title, ["node", "run", "observer", "verdict"], ["max_version", "behind", "phi"], rows))

    def _disagreement(self, node: NodeState, views: _Views) -> Iterator[list[str]]:
        seen = [(name, each) for name, each in views.of[_run(node)] if _is_wanted(name, self.wish.observer)]
        verdicts = {each.alive for _, each in seen if each.alive is not None}
        for name, each in seen:
            behind = node.max_version - each.max_version
            is_odd = len(verdicts) > 1 and each.alive is False
            if behind <= 0 and not is_odd:
                continue
            yield [
                printable(node.node_id),
                run_text(node.generation_id, is_earlier=node.run == "earlier"),
                printable(name),
                {None: "unknown", True: "alive", False: "dead"}[each.alive],
                f"{each.max_version:,}",
                f"{behind:,}",
                "-" if each.phi is None else f"{each.phi:.2f}",
            ]

    def _words(self) -> None:
        self.out.print(confidence(self.whole, self.told), markup=False)
        guessed = list(guesses(self.told)) if self.told else []
        if guessed:
            self.out.print(f"guessed from the traffic: {'; '.join(guessed)}", markup=False)
        for doubt in doubts(self.whole, self.told):
            self.out.print(f"note: {doubt}", markup=False)
        self.out.print()


def _shortened(value: str) -> str:
    shown = printable(value)
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}… ({len(value):,} characters)"


COMMAND = Command(
    state,
    more="""
Members and runs, who holds whom for alive, versions, keys: as the messages of the captures state them, or as it follows
from them. Nothing unknown is shown as empty, zero or dead: a + behind a number of keys says that there may be more.

Only versions that were sent while the capture ran can be known. 'scapy-chitchat probe', run while you capture, makes a
node tell all.
""",
    examples=(
        "scapy-chitchat state capture.pcap",
        "scapy-chitchat state --at +12.5 --keys --node indexer-0 capture.pcap",
        "scapy-chitchat state --observer indexer-1 capture.pcap",
        "scapy-chitchat state --differences ring*.pcap",
        "scapy-chitchat state --json capture.pcap | jq '.nodes[].key_values.readiness.value'",
    ),
)
