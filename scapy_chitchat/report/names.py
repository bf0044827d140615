# SPDX-License-Identifier: GPL-2.0-or-later
"""How runs, times and texts off the wire are written on the page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scapy_chitchat.cluster import ClusterState, NodeState, ObserverState, ReplicaState
from scapy_chitchat.net.text import printable
from scapy_chitchat.records.identity import ChitchatId, id_of

LONGEST_NAME = 48
"""Characters of a node_id, a key or an address that the page shows."""

Place = float | str
"""Where a time stands on an axis: seconds from the first message, or a date."""


@dataclass(frozen=True)
class Speech:
    """How the command line writes times and runs; the page does alike."""

    time: Callable[[int], str]
    """A time, nanoseconds since the epoch, in a sentence."""
    place: Callable[[int], Place]
    """The same time on an axis."""
    run: Callable[[int], str]
    """A generation_id."""


def short(text: object, most: int = LONGEST_NAME) -> str:
    """Text off the wire, harmless and not too long: control characters and bidi marks are shown by their codes."""
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first of these names off the wire, and how many more there are."""
    shown = ", ".join(short(each) for each in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def counted(number: int, word: str, plural: str = "") -> str:
    """A number and what it counts."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


class Names:
    """The runs of a cluster, each with a number and with the name by which the page calls it."""

    def __init__(self, state: ClusterState, speech: Speech) -> None:
        self.speech = speech
        self.labels: list[str] = []
        """The names, by the runs' numbers."""
        self.current = {id_of(each) for each in state.nodes if each.run == "current"}
        """The runs that no younger one has taken the place of."""
        self._numbers: dict[ChitchatId, int] = {}
        self._runs = Counter(each.node_id for each in state.nodes)
        self._at: defaultdict[str, list[str]] = defaultdict(list)
        for each in state.nodes:
            if each.run == "current":
                self._at[each.gossip_advertise_addr].append(each.node_id)
        for each in state.nodes:
            self.number(id_of(each))

    def number(self, run: ChitchatId) -> int:
        """The number of a run, which is given to it when it is first asked for."""
        known = self._numbers.get(run)
        if known is None:
            known = self._numbers[run] = len(self.labels)
            several = self._runs[run.node_id] > 1
            self.labels.append(
                f"{short(run.node_id)} ({self.speech.run(run.generation_id)})" if several else short(run.node_id)
            )
        return known

    def label(self, run: ChitchatId) -> str:
        """The name of a run: its node_id, and which run it is, where there are several."""
        return self.labels[self.number(run)]

    def at(self, address: str) -> str:
        """Who is at an address: the node_id that advertises it, or the address."""
        names = self._at.get(address)
        return listed(names) if names else short(address)


class Views:
    """The replicas that current runs hold of each other, in the engine's last state."""

    def __init__(self, state: ClusterState) -> None:
        self.nodes = {id_of(each): each for each in state.nodes}
        self.current = [each for each in state.nodes if each.run == "current"]
        """The current runs."""
        working = {id_of(each) for each in self.current}
        self.observers = [each for each in state.observers if id_of(each) in working]
        """The current runs that spoke."""
        self.of: defaultdict[ChitchatId, list[tuple[ObserverState, ReplicaState]]] = defaultdict(list)
        """Who holds which replica of a run, its own aside."""
        for observer in self.observers:
            for replica in observer.replicas:
                if id_of(replica) != id_of(observer):
                    self.of[id_of(replica)].append((observer, replica))

    def behind(self, replica: ReplicaState) -> int:
        """How many versions a replica lacks of what its owner has."""
        node = self.nodes.get(id_of(replica))
        return max(0, node.max_version - replica.max_version) if node else 0

    def verdicts(self, node: NodeState) -> tuple[int, int]:
        """For how many a run is alive, and how many have judged it."""
        told = [each.alive for _, each in self.of[id_of(node)] if each.alive is not None]
        return sum(told), len(told)

    def worst(self, node: NodeState) -> int | None:
        """How many versions the worst observer of a run lacks; None where nobody observes it."""
        return max((self.behind(each) for _, each in self.of[id_of(node)]), default=None)

    def phi(self, node: NodeState) -> float | None:
        """The largest phi of a run at the end."""
        return max((each.phi for _, each in self.of[id_of(node)] if each.phi is not None), default=None)


def top(names: Iterable[tuple[str, int]]) -> list[str]:
    """The names of a count, those first that stand there most often."""
    return [name for name, _ in sorted(names, key=lambda each: (-each[1], each[0]))]
