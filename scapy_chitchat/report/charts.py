# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of the pictures, as the page's script takes them: lists of numbers, and names by number.

Everything is bounded: curves by bins.py, matrices to 300 by 300, lists by the numbers below.
"""

from __future__ import annotations

import msgspec

from scapy_chitchat.cluster import ClusterState, Step
from scapy_chitchat.cluster.ladder import Why
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.report.collect import Collected
from scapy_chitchat.report.liveness import Sample
from scapy_chitchat.report.names import Names, Place, Views, short
from scapy_chitchat.report.spreading import EDGES
from scapy_chitchat.report.traffic import TYPES

MOST_SIDE = 300
"""The most observers, and the most subjects, of a matrix."""

MOST_ROWS = 80
"""The most runs of the Gantt chart; those with nothing to see are left out first."""

MOST_LADDERS = 80
"""The most versions whose way can be picked."""

_MOST_RUNGS = 30_000
_MOST_ADDRESSES = 100
_MOST_PREFIXES = 20

FOR_ALL, FOR_SOME, FOR_NONE, NOT_TOLD = range(4)
"""For whom a run is alive."""


class Axis(msgspec.Struct):
    """The times of a curve's points."""

    at: list[Place]
    width: float
    """Seconds that a point stands for."""


class Members(msgspec.Struct):
    """Runs over time: a row a run."""

    rows: list[int]
    """Their numbers."""
    segments: list[tuple[int, Place, Place, float, int, int, int]]
    """Row, beginning and end, seconds, for whom it is alive, the smallest number of those, and of how many."""
    marks: list[tuple[int, Place, str]]
    """Row, time and kind of events."""
    left_out: int
    """Runs with nothing to see that are not among the rows."""


class Phi(msgspec.Struct):
    """phi over time, in tenths."""

    axis: Axis
    threshold: float
    worst: dict[int, list[int | None]]
    """The largest of all observers, by subject."""
    pairs: list[tuple[int, int, list[int | None]]]
    """Observer, subject, phi."""
    all_kept: bool


class Matrix(msgspec.Struct):
    """How many versions observers lack of subjects; None: not to be told, or its own run."""

    observers: list[int]
    subjects: list[int]
    behind: list[list[int | None]]
    left_out: int


class Ladder(msgspec.Struct):
    """One version on its way."""

    title: str
    there: list[tuple[int, int]]
    """Observer, and milliseconds after the owner."""
    lacking: list[tuple[int, Why | None]]
    """Observer, and why it is behind."""


class Spread(msgspec.Struct):
    """How long changes took."""

    edges: list[float]
    counts: list[int]
    ladders: list[Ladder]
    ladders_left_out: int


class Load(msgspec.Struct):
    """The messages."""

    axis: Axis
    types: dict[str, list[int]]
    prefixes: list[tuple[str, int, int]]
    """Beginning of keys, bytes, key-values."""
    senders: list[str]
    receivers: list[str]
    unanswered: list[list[int]]
    """By sender and receiver."""


class Digest(msgspec.Struct):
    """The size of the largest Syn over time."""

    axis: Axis
    sizes: list[int | None]
    entries: list[int | None]


class Charts(msgspec.Struct):
    """The pictures of one cluster."""

    names: list[str]
    """By the numbers of the runs."""
    members: Members
    phi: Phi
    matrix: Matrix
    spread: Spread
    load: Load
    digest: Digest


def charts(state: ClusterState, collected: Collected, steps: list[Step], names: Names) -> Charts:
    """The figures of one cluster. ``steps``: its versions whose ways were followed."""
    views = Views(state)
    return Charts(
        names=names.labels,
        members=_members(state, collected, names),
        phi=_phi(collected, names),
        matrix=_matrix(views, names),
        spread=_spread(collected, steps, names),
        load=_load(collected, names),
        digest=_digest(collected, names),
    )


def _axis(starts: list[int], width: int, names: Names) -> Axis:
    return Axis([names.speech.place(each) for each in starts], width / 1e9)


# --- members ---


def _members(state: ClusterState, collected: Collected, names: Names) -> Members:
    samples = collected.liveness.samples
    of: dict[ChitchatId, list[Stretch]] = {}
    last = Sample()
    for place, found in enumerate(samples.all()):
        last = sample = found or last  # where nobody spoke, nobody judged: all is as it was
        for subject, told in sample.subjects.items():
            how = NOT_TOLD if not told.judged else FOR_ALL if told.alive == told.judged else FOR_SOME
            if told.judged and not told.alive:
                how = FOR_NONE
            _lengthen(of.setdefault(subject, []), place, how, told.alive, told.judged)
    marked = {(each.node_id, each.generation_id) for each in collected.troubles.marks}
    runs = [id_of(each) for each in state.nodes]
    notable = [each for each in runs if each[:2] in marked or _is_notable(of.get(each, []))]
    rows = sorted({*notable[:MOST_ROWS], *runs[: max(0, MOST_ROWS - len(notable))]})
    row_of = {run: row for row, run in enumerate(rows)}
    places = [names.speech.place(samples.start + at * samples.width) for at in range(len(samples) + 1)]
    segments = [
        (row_of[run], places[first], places[last + 1], (last + 1 - first) * samples.width / 1e9, how, alive, judged)
        for run in rows
        for first, last, how, alive, judged in of.get(run, ())
    ]
    by_name = {run[:2]: row for run, row in row_of.items()}
    marks = [
        (by_name[each.node_id or "", each.generation_id or 0], names.speech.place(each.time), str(each.event))
        for each in collected.troubles.marks
        if (each.node_id or "", each.generation_id or 0) in by_name
    ]
    return Members([names.number(run) for run in rows], segments, marks, len(runs) - len(rows))


Stretch = tuple[int, int, int, int, int]
"""First and last bin, for whom a run was alive, the smallest number of those, and of how many."""


def _is_notable(stretches: list[Stretch]) -> bool:
    """Whether a run was not alive for all once it had been, or never was; that it is not at first is normal."""
    told = [how for _, _, how, _, _ in stretches if how != NOT_TOLD]
    return FOR_ALL not in told or told[-1] != FOR_ALL or told.count(FOR_ALL) > 1


def _lengthen(segments: list[Stretch], place: int, how: int, alive: int, judged: int) -> None:
    """One bin more: of the last stretch, where it goes on as it was."""
    if segments:
        first, last, before, fewest, most = segments[-1]
        if last == place - 1 and before == how:
            segments[-1] = first, place, how, min(fewest, alive), max(most, judged)
            return
    segments.append((place, place, how, alive, judged))


# --- phi ---


def _phi(collected: Collected, names: Names) -> Phi:
    liveness = collected.liveness
    samples = liveness.samples.all()
    subjects = sorted({subject for sample in samples if sample for subject in sample.subjects})[:MOST_SIDE]
    pairs = [(observer, subject) for observer, chosen in liveness.pairs.items() for subject in chosen]
    return Phi(
        axis=_axis(liveness.samples.starts(), liveness.samples.width, names),
        threshold=liveness.notable * 2,
        worst={names.number(each): [_largest(sample, each) for sample in samples] for each in subjects},
        pairs=[
            (names.number(observer), names.number(subject), [_of(sample, (observer, subject)) for sample in samples])
            for observer, subject in pairs
        ],
        all_kept=liveness.all_kept,
    )


def _largest(sample: Sample | None, subject: ChitchatId) -> int | None:
    told = sample.subjects.get(subject) if sample else None
    return round(told.phi * 10) if told and told.judged else None


def _of(sample: Sample | None, pair: tuple[ChitchatId, ChitchatId]) -> int | None:
    phi = sample.pairs.get(pair) if sample else None
    return None if phi is None else round(phi * 10)


# --- versions behind ---


def _matrix(views: Views, names: Names) -> Matrix:
    behind = {
        (id_of(observer), subject): views.behind(replica)
        for subject, held in views.of.items()
        for observer, replica in held
    }
    totals: dict[ChitchatId, int] = {}
    for (observer, subject), versions in behind.items():
        totals[subject] = totals.get(subject, 0) + versions
        totals[observer] = totals.get(observer, 0) + versions
    observers = _worst([id_of(each) for each in views.observers], totals)
    subjects = _worst([id_of(each) for each in views.current], totals)
    return Matrix(
        observers=[names.number(each) for each in observers],
        subjects=[names.number(each) for each in subjects],
        behind=[[behind.get((observer, subject)) for subject in subjects] for observer in observers],
        left_out=max(0, len(views.current) - len(subjects)),
    )


def _worst(runs: list[ChitchatId], totals: dict[ChitchatId, int]) -> list[ChitchatId]:
    """As many runs as a matrix can show: the worst ones, in the order of their names."""
    return sorted(sorted(runs, key=lambda each: -totals.get(each, 0))[:MOST_SIDE])


# --- propagation ---


def _spread(collected: Collected, steps: list[Step], names: Names) -> Spread:
    ladders: list[Ladder] = []
    rungs = 0
    ordered = sorted((each for each in steps if each.rungs), key=lambda each: (-_lacking(each, names), -_taken(each)))
    for step in ordered:
        rungs += len(step.rungs)
        if len(ladders) >= MOST_LADDERS or rungs > _MOST_RUNGS:
            break
        ladders.append(_ladder(step, names))
    return Spread(list(EDGES), collected.spreading.counts, ladders, len(ordered) - len(ladders))


def _lacking(step: Step, names: Names) -> int:
    """How many of the current runs have it not; that earlier ones have it not is no wonder."""
    return sum(each.time is None and each.observer in names.current for each in step.rungs)


def _taken(step: Step) -> int:
    return max((each.time - step.owner_time for each in step.rungs if each.time is not None), default=0)


def _ladder(step: Step, names: Names) -> Ladder:
    owner, key = names.label(step.subject), short(step.key)
    lacking = [(names.number(each.observer), each.why) for each in step.rungs if each.time is None]
    said = f"{len(lacking)} behind" if lacking else f"{_taken(step) / 1e9:.2f} s"
    return Ladder(
        title=f"{owner}: {key}, version {step.version}, {said}",
        there=[
            (names.number(each.observer), (each.time - step.owner_time) // 10**6)
            for each in step.rungs
            if each.time is not None
        ],
        lacking=lacking,
    )


# --- traffic ---


def _load(collected: Collected, names: Names) -> Load:
    traffic = collected.traffic
    bins = traffic.types.all()
    kinds = {kind: [each[at] if each else 0 for each in bins] for at, kind in enumerate((*TYPES, "refused"))}
    prefixes = sorted(traffic.prefixes.items(), key=lambda each: -each[1][0])[:_MOST_PREFIXES]
    lost: dict[tuple[str, str], int] = {}
    for (node_id, to), count in collected.troubles.unanswered.items():
        pair = (short(node_id) if node_id is not None else "?"), names.at(to)
        lost[pair] = lost.get(pair, 0) + count
    senders = _most(lost, 0)
    receivers = _most(lost, 1)
    return Load(
        axis=_axis(traffic.types.starts(), traffic.types.width, names),
        types={kind: counts for kind, counts in kinds.items() if any(counts)},
        prefixes=[(prefix, size, count) for prefix, (size, count) in prefixes],
        senders=senders,
        receivers=receivers,
        unanswered=[[lost.get((sender, receiver), 0) for receiver in receivers] for sender in senders],
    )


def _most(lost: dict[tuple[str, str], int], side: int) -> list[str]:
    totals: dict[str, int] = {}
    for pair, count in lost.items():
        totals[pair[side]] = totals.get(pair[side], 0) + count
    return sorted(sorted(totals, key=lambda each: -totals[each])[:_MOST_ADDRESSES])


def _digest(collected: Collected, names: Names) -> Digest:
    bins = collected.traffic.digests
    return Digest(
        axis=_axis(bins.starts(), bins.width, names),
        sizes=[each.size if each else None for each in bins.all()],
        entries=[each.entries if each else None for each in bins.all()],
    )
