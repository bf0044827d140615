# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat state``: the clusters in captures, at their end or at a time."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, TypeVar

import msgspec
import typer

from scapy_chitchat.cli.clusters import Detector, Feeding, Times
from scapy_chitchat.cli.common import complain, hush_scapy
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.options import OUTPUT, FileOptions, Files, Json, Observer, Subjects, moment, moment_of
from scapy_chitchat.cli.states import Shown, Tables, Views
from scapy_chitchat.cluster import ClusterState, NodeState, ReplicaState


@dataclass(frozen=True)
class StateOptions(FileOptions, Subjects, Times, Detector):
    """What ``state`` takes beside the files."""

    PANEL: ClassVar[str] = OUTPUT
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="TIME",
            callback=moment,
            help="At this time: a date, epoch seconds, or +12.5 from the first message.",
        ),
    ] = ""
    observer: Observer = ""
    keys: Annotated[bool, typer.Option("--keys", help="The key-values, too.")] = False
    differences: Annotated[bool, typer.Option("--differences", help="Only what observers disagree on.")] = False
    json: Json = False


def state(files: Files, wish: StateOptions) -> int:
    """Read the files and show the clusters. Gives the exit code."""
    hush_scapy()
    feeding = Feeding(files, wish, wish.settings(), silent=True)
    moment = moment_of(wish.at)
    try:
        for _ in feeding.events(moment):
            pass
    except KeyboardInterrupt:
        feeding.interrupted = True
        complain("interrupted: what follows is as of the last message read")
    estimates = {each.cluster_id: each for each in feeding.cluster.estimates()}
    shown = 0
    for each in feeding.at(moment, wish.cluster):
        found = narrowed(each, wish)
        if found is None:
            continue
        shown += 1
        if wish.json:
            sys.stdout.buffer.write(found.as_json() + b"\n")
        else:
            how = Shown(wish.observer, wish.key, wish.keys, wish.differences)
            Tables(found, each, estimates.get(each.cluster_id), how, feeding.clock(wish.zone)).print()
    sys.stdout.flush()
    if feeding.messages and moment is not None and not feeding.goes_on and not wish.json:
        complain(f"the last message came at {feeding.clock(wish.zone).text(feeding.last)}: nobody is heard after it")
    return feeding.end("" if shown else _nothing(wish))


def _nothing(wish: StateOptions) -> str:
    asked = {"cluster": wish.cluster, "node": wish.node, "key": wish.key, "observer": wish.observer}
    return f"nothing of {', '.join(f'{name} {value!r}' for name, value in asked.items() if value)}"


# --- what is wanted of a state ---


def narrowed(state: ClusterState, wish: StateOptions) -> ClusterState | None:
    """The state with only the nodes, keys and observers that are asked for; None where nothing is left of it."""
    found = state
    if wish.node or wish.key or wish.observer:
        found = msgspec.structs.replace(
            state,
            nodes=_having([each for each in state.nodes if _is_wanted(each.node_id, wish.node)], wish.key),
            observers=[
                msgspec.structs.replace(
                    each,
                    replicas=_having([one for one in each.replicas if _is_wanted(one.node_id, wish.node)], wish.key),
                )
                for each in state.observers
                if _is_wanted(each.node_id, wish.observer)
            ],
        )
        if not found.nodes or (wish.observer and not found.observers):
            return None
    return _differing(found, state) if wish.differences else found


def _is_wanted(name: str, pattern: str) -> bool:
    return not pattern or fnmatchcase(name, pattern)


_Held = TypeVar("_Held", NodeState, ReplicaState)


def _having(held: list[_Held], pattern: str) -> list[_Held]:
    """Those that have such keys, with these alone; all, where no pattern is given."""
    if not pattern:
        return held
    kept = [(each, {key: kv for key, kv in each.key_values.items() if fnmatchcase(key, pattern)}) for each in held]
    return [msgspec.structs.replace(each, key_values=key_values) for each, key_values in kept if key_values]


def _differing(found: ClusterState, whole: ClusterState) -> ClusterState:
    """The state with only the replicas that differ from what their owner or most others say."""
    views = Views(whole)
    observers = [
        msgspec.structs.replace(each, replicas=[one for one in each.replicas if views.differs(each, one)])
        for each in found.observers
    ]
    return msgspec.structs.replace(found, observers=[each for each in observers if each.replicas])


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
        "scapy-chitchat state --key readiness capture.pcap",
        "scapy-chitchat state --observer indexer-1 capture.pcap",
        "scapy-chitchat state --differences ring*.pcap",
        "scapy-chitchat state --json capture.pcap | jq '.nodes[].key_values.readiness.value'",
    ),
)
