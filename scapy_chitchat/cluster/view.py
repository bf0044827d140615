# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a cluster at a time, put together from the engine's numbers and contents.

What was delivered to an observer after its last statement is presumed read, unless it says nothing any more; it is
tried on copies. Asking changes no replica; but observers judge then, so that a verdict may be told up to a
round earlier than without.
"""

from __future__ import annotations

from scapy_chitchat.cluster.community import Community
from scapy_chitchat.cluster.history import PLAIN, Extra, History
from scapy_chitchat.cluster.liveness import SECOND, Window
from scapy_chitchat.cluster.observer import Observer
from scapy_chitchat.cluster.roster import Numbers
from scapy_chitchat.cluster.rules import shown
from scapy_chitchat.cluster.state import ClusterState, KeyValueState, NodeState, ObserverState, ReplicaState

_SILENT_ROUNDS = 4
"""After so many rounds without a word nothing more is presumed read."""


def view(community: Community, time: int) -> ClusterState:
    """The cluster at ``time``, which is not before its last message; in nanoseconds."""
    for observer in community.observers.values():
        if observer.round_time < time:
            community.judge(observer)
    presumed = {run: _presume(community, each) for run, each in community.observers.items() if each.stated}
    observers = [_observer(community, each, time) for each in presumed.values()]
    observers.sort(key=lambda each: (each.node_id, each.generation_id))
    return ClusterState(
        cluster_id=community.cluster_id,
        time=time,
        decimals=community.decimals,
        messages=community.messages,
        predicted=community.predicted,
        nodes=[_node(community, run, presumed) for run in sorted(community.seen, key=lambda run: community.ids[run])],
        observers=observers,
    )


class Presumed:
    """An observer's replicas with what it has presumably read since its last statement."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.numbers = observer.numbers
        self.extras = observer.extras
        self.doubtful: set[int] = set()
        """The subjects whose numbers rest on it."""


def _presume(community: Community, observer: Observer) -> Presumed:
    found = Presumed(observer)
    latest = observer.heard + _SILENT_ROUNDS * community.interval if community.interval else community.time
    waiting = [each for each in observer.inbox.waiting if each.read_at or observer.heard <= each.time <= latest]
    if not waiting:
        return found
    trial = Observer(observer.run, observer.rules.name)
    trial.rules = observer.rules
    trial.numbers, trial.extras = dict(observer.numbers), dict(observer.extras)
    trial.forgotten = dict(observer.forgotten)
    for each in waiting:
        if each.cluster_id != community.cluster_id:
            continue
        if each.table is not None:
            trial.hear(each.table, each.time, community.detector)
        for (subject, section), as_of in zip(each.sections, each.as_of, strict=True):
            taken = trial.take(subject, section, as_of)
            if taken and taken.kind in ("apply", "reset") and not each.read_at:
                found.doubtful.add(subject)
    found.numbers, found.extras = trial.numbers, trial.extras
    return found


def _observer(community: Community, presumed: Presumed, time: int) -> ObserverState:
    observer = presumed.observer
    node_id, generation_id, address = community.ids[observer.run]
    replicas = [_replica(community, presumed, subject, time) for subject in presumed.numbers]
    replicas.sort(key=lambda each: (each.node_id, each.generation_id))
    return ObserverState(node_id, generation_id, address, replicas)


def _replica(community: Community, presumed: Presumed, subject: int, time: int) -> ReplicaState:
    observer = presumed.observer
    numbers = presumed.numbers[subject]
    node_id, generation_id, address = community.ids[subject]
    own = subject == observer.run
    window = observer.windows.get(subject)
    key_values, extra = _contents(community, subject, numbers, presumed.extras.get(subject, PLAIN))
    return ReplicaState(
        node_id=node_id,
        generation_id=generation_id,
        gossip_advertise_addr=address,
        heartbeat=numbers[0],
        last_gc_version=numbers[1],
        max_version=numbers[2],
        alive=True if own else _alive(community, observer, subject, window),
        phi=None if own or window is None or window.alive is None else window.phi(time, community.detector),
        key_values=key_values,
        unknown_versions=list(extra.unknown),
        presumed=subject in presumed.doubtful or subject in observer.dropped,
        in_digest=subject not in observer.dropped,
    )


def _alive(community: Community, observer: Observer, subject: int, window: Window | None) -> bool | None:
    """The last verdict. Who is not named any more is dead until it is let go, and when that is must be known."""
    if window is None or (subject in observer.dropped and not (community.dead_grace and window.judged_dead)):
        return None
    return window.alive


def _contents(
    community: Community, subject: int, numbers: Numbers, extra: Extra
) -> tuple[dict[str, KeyValueState], Extra]:
    history = community.histories.get(subject) or History()
    _, gc, held = numbers
    extra = extra._replace(unknown=history.unknown(extra.unknown, held))
    key_values = {
        each.key: KeyValueState(each.value, each.version, each.status, each.since, certain)
        for each, certain in history.select(gc, held, extra)
    }
    return key_values, extra


def _node(community: Community, run: int, presumed: dict[int, Presumed]) -> NodeState:
    node_id, generation_id, address = community.ids[run]
    seen = community.seen[run]
    own = presumed.get(run)
    best = own or max(
        (each for each in presumed.values() if run in each.numbers),
        key=lambda each: each.numbers[run][2],
        default=None,
    )
    numbers = best.numbers[run] if best else (0, 0, 0)
    extra = best.extras.get(run, PLAIN) if best else PLAIN
    key_values, extra = _contents(community, run, numbers, extra)
    observer = community.observers.get(run)
    return NodeState(
        node_id=node_id,
        generation_id=generation_id,
        gossip_advertise_addr=address,
        run="current" if generation_id == community.owners.generations[node_id] else "earlier",
        heartbeat=numbers[0],
        last_gc_version=numbers[1],
        max_version=numbers[2],
        complete=best is not None and not extra.unknown,
        key_values=key_values,
        first_seen=seen.first,
        last_seen=max([seen.last, *(w.last for each in presumed.values() if (w := each.observer.windows.get(run)))]),
        last_spoke=seen.spoke,
        heartbeat_rate=_heartbeat_rate(community, run),
        stuck=community.troubles.is_stuck(run),
        rules=shown(observer.possible) if observer else None,
    )


def _heartbeat_rate(community: Community, run: int) -> float | None:
    """By how much a run's heartbeat rose in a second, as far as it stated it."""
    began, observer = community.seen[run].began, community.observers.get(run)
    if began is None or observer is None or observer.heard <= began[0]:
        return None
    return (observer.heartbeat - began[1]) * SECOND / (observer.heard - began[0])
