# SPDX-License-Identifier: GPL-2.0-or-later
"""A snapshot as rows of tables: members, events, keys of a node, the way of a key, pairs of nodes, their handshakes.

All text off the wire goes through ``printable`` and is handed on as rich's ``Text``, so that no markup in it is heeded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.text import Text

from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.cluster import ClusterState, Event, NodeState, Step
from scapy_chitchat.net.text import printable
from scapy_chitchat.records.classes import Ack, Syn, SynAck
from scapy_chitchat.watch.snapshot import Snapshot, Words

Run = tuple[str, int, str]
"""What tells a run from all others: node_id, generation_id, gossip_advertise_addr."""


class Row(NamedTuple):
    """A row: what it is about, its cells, and by what each column is sorted."""

    key: tuple[object, ...]
    cells: tuple[Text, ...]
    order: tuple[str | float, ...]

    @property
    def plain(self) -> tuple[str, ...]:
        """The cells without their colours."""
        return tuple(cell.plain for cell in self.cells)

    @property
    def text(self) -> str:
        """All of it, as it is searched."""
        return "  ".join(self.plain)


def run_of(node: NodeState) -> Run:
    """The run that a node's state is of."""
    return node.node_id, node.generation_id, node.gossip_advertise_addr


def row(key: tuple[object, ...], *cells: object, style: str = "", order: tuple[str | float, ...] = ()) -> Row:
    """A row of these cells. ``order``: where it is not that of the cells' text."""
    made = tuple(each if isinstance(each, Text) else Text(printable(each), style, no_wrap=True) for each in cells)
    return Row(key, made, order or tuple(each.plain for each in made))


# --- members ---

MEMBERS = ("node", "alive for", "behind", "keys", "version", "beats/s", "phi", "state", "run", "address", "not for")
"""The columns of the members, the most telling first: a narrow terminal shows no more than the first of them."""


def members(state: ClusterState, words: Words) -> list[Row]:
    """A row a run; an earlier run stands dimmed."""
    told = words.views(state)
    return [_member(node, *told.alive(node), told.behind(node), told.phi(node), words) for node in state.nodes]


def _member(node: NodeState, alive: str, against: str, behind: str, phi: str, words: Words) -> Row:
    keys = sum(each.status != "Delete" for each in node.key_values.values())
    rate = node.heartbeat_rate
    what = ", ".join(_conditions(node))
    earlier = node.run == "earlier"
    style = "dim" if earlier else "bold red" if alive.startswith("0 of") or node.stuck else "yellow" if against else ""
    cells = (
        node.node_id,
        alive,
        Text(behind, style, no_wrap=True),
        f"{keys:,}" if node.complete else f"{keys:,}+",
        f"{node.max_version:,}",
        "-" if rate is None else f"{rate:.1f}",
        phi,
        what,
        words.run(node.generation_id),
        node.gossip_advertise_addr,
        Text(against, style, no_wrap=True),
    )
    plain = (what, words.run(node.generation_id), node.gossip_advertise_addr, against)
    order = (node.node_id, alive, _number(behind), keys, node.max_version, rate or 0.0, _number(phi), *plain)
    return row(("run", *run_of(node)), *cells, style=style, order=order)


def _conditions(node: NodeState) -> Iterator[str]:
    if node.run == "earlier":
        yield "earlier run"
    if node.stuck:
        yield "stuck"
    if node.last_spoke is None:
        yield "never spoke"


def _number(text: str) -> float:
    """The number with which a text begins; -1 where there is none."""
    try:
        return float(text.split(" ")[0].replace(",", ""))
    except ValueError:
        return -1.0


# --- events ---

EVENTS = ("time", "frame", "event", "what happened")
"""The columns of the events."""


class EventRows:
    """A row an event, each made once: the same few hundred are shown again and again."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._made: dict[int, tuple[Event, Row]] = {}
        """By the identity of the event, which is kept as long."""
        self._count = 0

    def of(self, happened: Iterable[Event], first: int) -> list[Row]:
        """The rows of these events, the latest first."""
        before, self._made = self._made, {}
        rows = []
        for event in happened:
            made = before.get(id(event)) or (event, self._row(event, first))
            self._made[id(event)] = made
            rows.append(made[1])
        return rows[::-1]

    def _row(self, event: Event, first: int) -> Row:
        self._count += 1
        style = self._words.styles.get(event.event, "")
        said = self._words.sentence(event)
        time = self._words.time(event.time, first)
        frame = "" if event.frame is None else f"#{event.frame}"
        order = (event.time, event.frame or 0, event.event, said)
        return row(("event", self._count), time, frame, event.event, Text(said, style), style=style, order=order)


# --- keys ---

KEYS = ("version", "since", "status", "key", "value")
"""The columns of a node's keys."""


def keys(node: NodeState, first: int, words: Words) -> list[Row]:
    """A row a key-value; a ? says that something unknown may have taken its place."""
    made = []
    for key, held in sorted(node.key_values.items()):
        since = "-" if held.since is None else words.time(held.since, first)
        doubt = "" if held.certain else "?"
        style = "dim" if held.status != "Set" else ""
        cells = (f"{held.version:,}{doubt}", since, held.status, key, held.value)
        order = (held.version, held.since or 0, held.status, key, held.value)
        made.append(row(("key", key), *cells, style=style, order=order))
    return made


WAY = ("version", "value", "observer", "after", "how")
"""The columns of a key's way."""
BAR = 30
"""Characters of the longest bar."""


def way(steps: Iterable[Step], run: Run, key: str, first: int, words: Words) -> list[Row]:
    """How the versions of a key came to each observer: the latest version first, a bar for the time that it took."""
    mine = [step for step in steps if tuple(step.subject) == run and step.key == key]
    made: list[Row] = []
    for step in reversed(mine):
        took = [each.time - step.owner_time for each in step.rungs if each.time is not None]
        longest = max([*took, 1])
        title = words.time(step.owner_time, first)
        made.append(row((step.version, ""), f"{step.version:,}", step.value, "its owner", title, "", style="bold"))
        for rung in step.rungs:
            name = rung.observer.node_id
            about = (step.version, *rung.observer)
            if rung.time is None:
                made.append(row(about, "", "", name, "not yet", rung.why or "", style="yellow"))
            else:
                after = rung.time - step.owner_time
                bar = "─" * (after * BAR // longest) + "●"
                made.append(row(about, "", "", name, f"{after / 1e9:.3f} s", bar))
    return made


# --- who speaks with whom ---

PAIRS = ("with", "messages", "Syn", "SynAck", "Ack", "BadCluster", "bytes", "last")
"""The columns of the peers of a node."""


def pairs(snapshot: Snapshot, address: str, words: Words, names: dict[str, str]) -> list[Row]:
    """A row for each address with which this one has spoken lately."""
    counts: dict[str, Counter[str]] = {}
    last: dict[str, int] = {}
    for message in snapshot.recent:
        ends = (message.source, message.destination)
        if address in ends:
            peer = ends[1] if ends[0] == address else ends[0]
            count = counts.setdefault(peer, Counter())
            count["messages"] += 1
            count["bytes"] += len(message.data)
            count[message.message.type if message.message else "refused"] += 1
            last[peer] = message.datagram.nanoseconds
    made = []
    for peer, count in counts.items():
        numbers = [count[each] for each in PAIRS[1:-1]]
        name = names.get(peer, peer)
        cells = (name, *(f"{each:,}" for each in numbers), words.time(last[peer], snapshot.first))
        made.append(row(("peer", peer), *cells, order=(name, *numbers, last[peer])))
    return sorted(made, key=lambda each: each.order[0])


def names_of(state: ClusterState) -> dict[str, str]:
    """The node_id of each address; of several runs, the current one's."""
    ordered = sorted(state.nodes, key=lambda node: node.run == "current")
    return {node.gossip_advertise_addr: node.node_id for node in ordered}


LADDER = ("time", "frame", "", "what it holds")
"""The columns of a ladder."""
RUNG = 36
"""Characters of an arrow."""


def ladder(snapshot: Snapshot, left: str, right: str, words: Words) -> list[Row]:
    """The latest messages between two addresses: an arrow each, a Syn that begins a handshake in bold."""
    made = []
    for message in snapshot.recent:
        if {message.source, message.destination} != {left, right}:
            continue
        kind = message.message.type if message.message else "refused"
        arrow = _arrow(kind, to_right=message.source == left)
        style = "bold" if kind == "Syn" else "red" if kind in ("refused", "BadCluster") else ""
        time = words.time(message.datagram.nanoseconds, snapshot.first)
        key = ("message", message.frame, message.datagram.time, kind)
        made.append(row(key, time, f"#{message.frame}", arrow, _holds(message), style=style))
    return made


def _arrow(kind: str, *, to_right: bool) -> str:
    line = f" {kind} ".center(RUNG - 2, "─")
    return f"{line}─▶" if to_right else f"◀─{line}"


def _holds(message: CapturedMessage) -> str:
    """What is in a message, in short."""
    record, size = message.message, f"{len(message.data):,} B"
    if isinstance(record, Syn):
        return f"{size}, digest of {len(record.digest):,}"
    if isinstance(record, SynAck):
        return f"{size}, digest of {len(record.digest):,}, {_delta(len(record.delta))}"
    if isinstance(record, Ack):
        return f"{size}, {_delta(len(record.delta))}"
    return f"{size}, {message.error.code}" if message.error else size


def _delta(operations: int) -> str:
    return f"delta of {operations:,}" if operations else "nothing new"
