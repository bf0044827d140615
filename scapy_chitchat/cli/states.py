# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a cluster as tables: its nodes, one observer's view, key-values, and what observers disagree on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scapy_chitchat.cli.clusters import EARLIER, confidence, doubts, guesses, run_text, some
from scapy_chitchat.cli.common import console, counted
from scapy_chitchat.cli.moments import Clock
from scapy_chitchat.cli.tables import print_table
from scapy_chitchat.cluster import ClusterState, Estimates, KeyValueState, NodeState, ObserverState, ReplicaState
from scapy_chitchat.net.text import printable

LONGEST_VALUE = 80
"""Characters of a value that a table shows."""

VERDICTS = {None: "unknown", True: "alive", False: "dead"}
"""An observer's verdict in words."""


class Shown(NamedTuple):
    """What is to be shown of a cluster, as the options say."""

    observer: str
    key: str
    keys: bool
    differences: bool


Run = tuple[str, int, str]
"""What tells a run from all others: node_id, generation_id, gossip_advertise_addr."""

Part = NodeState | ReplicaState | ObserverState


def run_of(part: Part) -> Run:
    """The run that a part of the state is about."""
    return part.node_id, part.generation_id, part.gossip_advertise_addr


class Views:
    """How the observers see each run: the replicas of it that others hold."""

    def __init__(self, state: ClusterState) -> None:
        self.nodes = {run_of(each): each for each in state.nodes}
        self.current = [each for each in state.observers if self._is_current(run_of(each))]
        """The observers at work; what an earlier run saw is past."""
        self.of: dict[Run, list[tuple[ObserverState, ReplicaState]]] = defaultdict(list)
        for observer in self.current:
            for replica in observer.replicas:
                if run_of(replica) != run_of(observer):
                    self.of[run_of(replica)].append((observer, replica))

    def _is_current(self, run: Run) -> bool:
        node = self.nodes.get(run)
        return node is not None and node.run == "current"

    def alive(self, node: NodeState) -> tuple[str, str]:
        """By how many of how many observers it is held for alive, and who does not."""
        seen = self.of[run_of(node)]
        judged = [(observer.node_id, each.alive) for observer, each in seen if each.alive is not None]
        unknown = len(seen) - len(judged)
        against = [name for name, alive in judged if not alive]
        said = f"{len(judged) - len(against)} of {len(judged)}" if judged else "unknown"
        return f"{said}, {unknown} unknown" if judged and unknown else said, _among(against, len(judged))

    def phi(self, node: NodeState) -> str:
        """The largest phi of an observer."""
        known = [each.phi for _, each in self.of[run_of(node)] if each.phi is not None]
        return f"{max(known):.2f}" if known else "-"

    def behind(self, node: NodeState) -> str:
        """How many versions the worst observers lack, and who they are."""
        lacking = [(node.max_version - each.max_version, observer.node_id) for observer, each in self.of[run_of(node)]]
        worst = max((versions for versions, _ in lacking), default=None)
        if worst is None:
            return "-"
        if worst <= 0:
            return "0"
        return f"{worst:,} ({_among([name for versions, name in lacking if versions == worst], len(lacking))})"

    def lacks(self, replica: ReplicaState) -> int:
        """How many versions a replica is behind its owner, as far as that is known."""
        node = self.nodes.get(run_of(replica))
        return max(0, node.max_version - replica.max_version) if node else 0

    def differs(self, observer: ObserverState, replica: ReplicaState) -> bool:
        """Whether a replica lacks versions, or its observer's verdict is not that of most; dead where they are even."""
        if run_of(replica) == run_of(observer) or not self._is_current(run_of(observer)):
            return False
        if self.lacks(replica):
            return True
        verdicts = [each.alive for _, each in self.of[run_of(replica)]]
        alive, dead = verdicts.count(True), verdicts.count(False)
        return bool(alive and dead) and replica.alive is (alive < dead)

    def without(self, node: NodeState) -> Iterator[ObserverState]:
        """The observers at work that do not know a current run at all."""
        if node.run == "current":
            knowing = {run_of(observer) for observer, _ in self.of[run_of(node)]} | {run_of(node)}
            yield from (each for each in self.current if run_of(each) not in knowing)


class Tables:
    """The tables of one cluster. ``whole`` is the state before anything was left out."""

    def __init__(
        self, state: ClusterState, whole: ClusterState, told: Estimates | None, wish: Shown, clock: Clock
    ) -> None:
        self.state, self.whole, self.told, self.wish, self.clock = state, whole, told, wish, clock
        self.views = Views(whole)
        self.out = console()

    def print(self) -> None:
        """What is asked for, and behind it what was guessed and what cannot be told."""
        wish = self.wish
        if wish.differences:
            self._differences()
        elif wish.observer:
            for each in self.state.observers:
                if wish.keys or wish.key:
                    title = f"Key-values as {_name(each)} of {run_text(each.generation_id)} has them"
                    self._key_values(title, each.replicas)
                else:
                    self._observer(each)
        else:
            if not wish.key:
                self._nodes()
            if wish.keys or wish.key:
                self._key_values(f"Key-values of cluster {self._cluster()} at {self._time()}", self.state.nodes)
        self._words()

    def _cluster(self) -> str:
        return "of an unknown cluster_id" if self.state.cluster_id is None else printable(self.state.cluster_id)

    def _time(self) -> str:
        return self.clock.text(self.state.time)

    def _nodes(self) -> None:
        rows = [self._node(each) for each in self.state.nodes]
        title = f"Cluster {self._cluster()} at {self._time()}: {counted(self.state.messages, 'message')}"
        words = ["node", "run", "address", "alive for", "not for"]
        numbers = ["versions behind", "phi", "heartbeat", "a second", "max_version", "last_gc_version", "keys"]
        print_table(self.out, title, words, numbers, rows)

    def _node(self, node: NodeState) -> list[str]:
        alive, against = self.views.alive(node)
        keys = sum(each.status != "Delete" for each in node.key_values.values())
        return [
            _name(node),
            run_text(node.generation_id, is_earlier=node.run == "earlier"),
            node.gossip_advertise_addr,
            alive,
            against,
            self.views.behind(node),
            self.views.phi(node),
            f"{node.heartbeat:,}",
            "-" if node.heartbeat_rate is None else f"{node.heartbeat_rate:,.1f}",
            f"{node.max_version:,}",
            f"{node.last_gc_version:,}",
            f"{keys:,}" if node.complete else f"{keys:,}+",
        ]

    def _observer(self, observer: ObserverState) -> None:
        rows = [self._replica(observer, each) for each in observer.replicas]
        words = ["node", "run", "address", "verdict", "named"]
        numbers = ["phi", "heartbeat", "heartbeats behind", "max_version", "versions behind", "last_gc_version", "keys"]
        title = f"As {_name(observer)} of {run_text(observer.generation_id)} sees cluster {self._cluster()}"
        print_table(self.out, f"{title} at {self._time()}", words, numbers, rows)
        if any(each.presumed for each in observer.replicas):
            self.out.print("?: delivered to it, not proven read", markup=False)

    def _replica(self, observer: ObserverState, replica: ReplicaState) -> list[str]:
        owner = self.views.nodes.get(run_of(replica))
        lag = max(0, owner.heartbeat - replica.heartbeat) if owner and owner.last_spoke is not None else None
        keys = sum(each.status != "Delete" for each in replica.key_values.values())
        return [
            _name(replica),
            run_text(replica.generation_id, is_earlier=bool(owner and owner.run == "earlier")),
            replica.gossip_advertise_addr,
            "itself" if run_of(replica) == run_of(observer) else VERDICTS[replica.alive],
            "" if replica.in_digest else "not in its digests",
            "-" if replica.phi is None else f"{replica.phi:.2f}",
            f"{replica.heartbeat:,}",
            "-" if lag is None else f"{lag:,}",
            f"{replica.max_version:,}{'?' if replica.presumed else ''}",
            f"{self.views.lacks(replica):,}",
            f"{replica.last_gc_version:,}",
            f"{keys:,}{'+' if replica.unknown_versions else ''}",
        ]

    def _key_values(self, title: str, held: Sequence[NodeState | ReplicaState]) -> None:
        found = [(each, key, kv) for each in held for key, kv in sorted(each.key_values.items())]
        if not found:
            self.out.print(f"{title}: none", markup=False)
            return
        rows = [[self._owner(each), printable(key), *self._key_value(kv)] for each, key, kv in found]
        print_table(self.out, title, ["node", "key", "value", "status"], ["version", "since"], rows)
        if not all(kv.certain for _, _, kv in found):
            self.out.print("?: may have been replaced by a version that nobody sent here", markup=False)

    def _owner(self, part: NodeState | ReplicaState) -> str:
        owner = self.views.nodes.get(run_of(part))
        return f"{_name(part)}{EARLIER}" if owner and owner.run == "earlier" else _name(part)

    def _key_value(self, kv: KeyValueState) -> list[str]:
        since = "-" if kv.since is None else self.clock.text(kv.since)
        return [_shortened(kv.value), kv.status if kv.certain else f"{kv.status}?", f"{kv.version:,}", since]

    def _differences(self) -> None:
        rows = [
            self._difference(observer, replica) for observer in self.state.observers for replica in observer.replicas
        ]
        if not self.wish.observer:
            rows += [
                [
                    _name(node),
                    run_text(node.generation_id),
                    _name(each),
                    "does not know it",
                    "-",
                    f"{node.max_version:,}",
                    "-",
                ]
                for node in self.state.nodes
                for each in self.views.without(node)
            ]
        if not rows:
            self.out.print(f"All observers of cluster {self._cluster()} agree at {self._time()}.", markup=False)
            return
        title = f"What observers of cluster {self._cluster()} disagree on at {self._time()}"
        words, numbers = ["node", "run", "observer", "verdict"], ["max_version", "versions behind", "phi"]
        print_table(self.out, title, words, numbers, sorted(rows))

    def _difference(self, observer: ObserverState, replica: ReplicaState) -> list[str]:
        owner = self.views.nodes.get(run_of(replica))
        return [
            _name(replica),
            run_text(replica.generation_id, is_earlier=bool(owner and owner.run == "earlier")),
            _name(observer),
            VERDICTS[replica.alive],
            f"{replica.max_version:,}",
            f"{self.views.lacks(replica):,}",
            "-" if replica.phi is None else f"{replica.phi:.2f}",
        ]

    def _words(self) -> None:
        self.out.print(confidence(self.whole, self.told), markup=False)
        guessed = list(guesses(self.told)) if self.told else []
        if guessed:
            self.out.print(f"guessed from the traffic: {'; '.join(guessed)}", markup=False)
        for doubt in doubts(self.whole, self.told):
            self.out.print(f"note: {doubt}", markup=False)
        self.out.print()


def _among(names: list[str], of: int) -> str:
    return f"all {of}" if len(names) == of > 1 else some(names, most=1)


def _name(part: Part) -> str:
    return printable(part.node_id)


def _shortened(value: str) -> str:
    shown = printable(value)
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}… ({len(value):,} characters)"
