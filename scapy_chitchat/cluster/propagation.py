# SPDX-License-Identifier: GPL-2.0-or-later
"""How versions get round: when the last observer has one, and the whole way of those that are followed.

A version opens when its owner first states it or a later one; the observers that lack it are those that have spoken
by then. It is
through when the last of them has it; who is judged dead meanwhile is not waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fnmatch import fnmatchcase

from scapy_chitchat.cluster._records import ChitchatId
from scapy_chitchat.cluster.history import Version
from scapy_chitchat.cluster.ladder import Rung, Step
from scapy_chitchat.cluster.observer import Observer
from scapy_chitchat.cluster.settings import Settings

_MOST_OPEN = 32
"""The most versions of one subject that are watched at a time; the oldest goes first."""


class Through:
    """A version that is on its way."""

    __slots__ = ("first", "lacking", "last", "opened", "version")

    def __init__(self, version: int, opened: int, lacking: set[int]) -> None:
        self.version = version
        self.opened = opened
        self.lacking = lacking
        self.first: int | None = None
        self.last: int | None = None


class Propagation:
    """The versions on their way in one cluster."""

    def __init__(self, settings: Settings, cluster_id: str, ids: list[ChitchatId]) -> None:
        self._open: dict[int, deque[Through]] = {}
        self._follow = settings.follow
        self._cluster_id = cluster_id
        self._ids = ids
        self.steps: deque[Step] = deque(maxlen=settings.follow_limit)
        self._followed: dict[int, list[tuple[Step, set[int]]]] = {}

    def opens(self, subject: int, version: int, time: int, observers: Iterable[Observer]) -> None:
        """The owner states a new max_version."""
        lacking = {
            each.run
            for each in observers
            if each.stated and ((numbers := each.numbers.get(subject)) is None or numbers[2] < version)
        }
        lacking.discard(subject)
        if lacking:
            self._open.setdefault(subject, deque(maxlen=_MOST_OPEN)).append(Through(version, time, lacking))

    def watches(self, subject: int) -> bool:
        """Whether a version of this subject is on its way."""
        return subject in self._open or subject in self._followed

    def reaches(self, subject: int, observer: int, version: int, time: int) -> list[Through]:
        """An observer's replica stands at ``version`` now: gives the versions that are through by this."""
        if subject in self._followed:
            self._climbs(subject, observer, version, time)
        through = self._open.get(subject)
        if not through or version < through[0].version:
            return []
        done = []
        for each in through:
            if each.version <= version and observer in each.lacking:
                each.lacking.discard(observer)
                if each.first is None:
                    each.first = observer
                each.last = observer
                if not each.lacking:
                    done.append(each)
        for each in done:
            through.remove(each)
        if not through:
            del self._open[subject]
        return done

    def _climbs(self, subject: int, observer: int, version: int, time: int) -> None:
        """The followed versions that this observer has now; those that all have are on their way no more."""
        followed = self._followed[subject]
        done = False
        for step, lacking in followed:
            if step.version <= version and observer in lacking:
                lacking.discard(observer)
                step.rungs.append(Rung(self._ids[observer], time))
                done |= not lacking
        if done:
            left = [each for each in followed if each[1]]
            if left:
                self._followed[subject] = left
            else:
                del self._followed[subject]

    def gives_up(self, observer: int) -> None:
        """Nobody waits for this observer any more: it is judged dead."""
        for subject, through in list(self._open.items()):
            for each in through:
                each.lacking.discard(observer)
            left = [each for each in through if each.lacking]
            if not left:
                del self._open[subject]
            elif len(left) < len(through):
                self._open[subject] = deque(left, maxlen=_MOST_OPEN)

    def forget(self, runs: set[int]) -> None:
        """These runs are gone: nothing of theirs is on its way, and nobody waits for them."""
        for run in runs:
            self._open.pop(run, None)
            self._followed.pop(run, None)
            self.gives_up(run)
        for steps in self._followed.values():
            for _, lacking in steps:
                lacking -= runs

    def follows(
        self, subject: int, version: Version, owner_time: int, time: int, observers: Iterable[Observer]
    ) -> None:
        """A version is seen for the first time: if it is asked for, its way is remembered."""
        if self._follow is None:
            return
        key, node = self._follow
        if not (fnmatchcase(version.key, key) and fnmatchcase(self._ids[subject].node_id, node)):
            return
        step = Step(
            cluster_id=self._cluster_id,
            subject=self._ids[subject],
            key=version.key,
            value=version.value,
            version=version.version,
            status=version.status,
            owner_time=owner_time or time,
            first_time=time,
            rungs=[],
        )
        self.steps.append(step)
        lacking = {each.run for each in observers if each.stated and each.run != subject}
        on_the_way = self._followed.setdefault(subject, [])
        on_the_way.append((step, lacking))
        del on_the_way[:-_MOST_OPEN]
        for each in observers:
            if each.run in lacking and _held(each, subject) >= version.version:
                self.reaches(subject, each.run, _held(each, subject), time)

    def lacking(self) -> Iterable[tuple[int, Step, set[int]]]:
        """Subject, step and the observers that have it not."""
        for subject, steps in self._followed.items():
            for step, lacking in steps:
                yield subject, step, lacking


def _held(observer: Observer, subject: int) -> int:
    numbers = observer.numbers.get(subject)
    return numbers[2] if numbers else 0
