# SPDX-License-Identifier: GPL-2.0-or-later
"""Who was alive for whom, and phi, as samples over time.

Of each subject every sample has how many observers judged it, how many hold it for alive, and the largest phi. Of a
pair of observer and subject phi is kept for all pairs of a small cluster; of a large one for the pairs with a notable
phi, and for one subject of each observer, so that the page stays small.
"""

from __future__ import annotations

from scapy_chitchat.cluster import Glance
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.report.bins import Bins

MOST_PAIRS = 600
"""The most pairs of observer and subject of which phi is kept over time: all those of 25 nodes."""

_MOST_SAMPLED = 300
"""Of these, the most that are kept in a large cluster without a notable phi."""

Pair = tuple[ChitchatId, ChitchatId]
"""An observer and a subject."""


class Told:
    """What all observers together hold of a subject at a time."""

    __slots__ = ("alive", "judged", "phi")

    def __init__(self, alive: int = 0, judged: int = 0, phi: float = 0.0) -> None:
        self.alive = alive
        """How many hold it for alive."""
        self.judged = judged
        """How many have judged it."""
        self.phi = phi
        """The largest phi."""

    def worse(self, other: Told) -> Told:
        """The worse of two moments: the smaller share of those who hold it for alive, the larger phi."""
        first, second = self.alive * max(1, other.judged), other.alive * max(1, self.judged)
        chosen = self if (first < second or not other.judged) and self.judged else other
        return Told(chosen.alive, chosen.judged, max(self.phi, other.phi))


class Sample:
    """One moment, or the worst of several."""

    def __init__(self) -> None:
        self.subjects: dict[ChitchatId, Told] = {}
        self.pairs: dict[Pair, float] = {}
        """phi of the pairs that are kept."""

    def merged(self, later: Sample) -> Sample:
        """The worst of both."""
        for subject, told in later.subjects.items():
            mine = self.subjects.get(subject)
            self.subjects[subject] = told if mine is None else mine.worse(told)
        for pair, phi in later.pairs.items():
            self.pairs[pair] = max(phi, self.pairs.get(pair, 0.0))
        return self


class Liveness:
    """The samples of one cluster."""

    def __init__(self, start: int, threshold: float) -> None:
        self.samples: Bins[Sample] = Bins(start, Sample, Sample.merged)
        self.notable = threshold / 2
        """From this phi on a pair is kept in a large cluster, too."""
        self.pairs: dict[ChitchatId, dict[ChitchatId, None]] = {}
        """The pairs that are kept: the subjects of each observer."""
        self.kept = 0
        """How many pairs these are."""
        self.all_kept = True
        """Whether these are all the pairs that there were."""
        self._ids: dict[tuple[str, int], ChitchatId] = {}

    def look(self, time: int, glances: list[Glance]) -> None:
        """Take a sample: what the observers hold of each other now."""
        if self.all_kept and sum(len(each.judged) for each in glances) > MOST_PAIRS:
            self._becomes_large()
        sample = Sample()
        for place, glance in enumerate(glances):
            self._look_at(sample, glance, place)
        self.samples.at(time).merged(sample)

    def _look_at(self, sample: Sample, glance: Glance, place: int) -> None:
        """What one observer holds; in a large cluster the subject at ``place`` is the one that is kept anyhow."""
        observer, judged = glance
        kept = self.pairs.get(observer, {})
        subjects, notable, everything = sample.subjects, self.notable, self.all_kept
        by_turns = place % len(judged) if judged else 0
        for at, (subject, alive, phi) in enumerate(judged):
            told = subjects.get(subject)
            if told is None:
                told = subjects[subject] = Told()
                self._ids[subject[:2]] = subject
            if alive is None:
                continue
            told.judged += 1
            told.alive += alive
            if phi is None:
                continue
            if phi > told.phi:
                told.phi = phi
            if subject in kept or (
                (everything or phi > notable or at == by_turns) and self._chooses(observer, subject, phi)
            ):
                sample.pairs[observer, subject] = phi

    def _becomes_large(self) -> None:
        """There are too many pairs to keep all: of those that were kept, some make room for notable ones."""
        self.all_kept = False
        chosen = [(observer, subject) for observer, subjects in self.pairs.items() for subject in subjects]
        self.pairs, self.kept = {}, 0
        for observer, subject in chosen[:: 1 + len(chosen) // _MOST_SAMPLED]:
            self._chooses(observer, subject, self.notable)

    def _chooses(self, observer: ChitchatId, subject: ChitchatId, phi: float) -> bool:
        """Whether a pair that was not kept so far is kept from now on."""
        most = MOST_PAIRS if self.all_kept or phi > self.notable else _MOST_SAMPLED
        if self.kept >= most:
            return False
        self.pairs.setdefault(observer, {})[subject] = None
        self.kept += 1
        return True

    def dies(self, observer: ChitchatId, subject: tuple[str, int], phi: float, time: int) -> None:
        """A verdict of death on a node_id's run: the phi of that moment, which no sample need have met."""
        run = self._ids.get(subject)
        if run is None:
            return
        sample = self.samples.at(time)
        told = sample.subjects.setdefault(run, Told())
        told.phi = max(told.phi, phi)
        if run in self.pairs.get(observer, ()) or self._chooses(observer, run, phi):
            sample.pairs[observer, run] = max(phi, sample.pairs.get((observer, run), 0.0))
