# SPDX-License-Identifier: GPL-2.0-or-later
"""One node as an observer: its replicas, predicted from what it read and corrected by what it states.

A statement (its own digest, its own sections) wins over every prediction. How often the two agree is counted: it
measures
the capture and the model without any truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from scapy_chitchat.cluster._records import Section
from scapy_chitchat.cluster.history import NEVER, PLAIN, Extra
from scapy_chitchat.cluster.inbox import Inbox
from scapy_chitchat.cluster.liveness import Detector, Window
from scapy_chitchat.cluster.ranges import add
from scapy_chitchat.cluster.roster import Numbers, Table
from scapy_chitchat.cluster.rules import DEFAULT, RULES, Kind, Rules, like, outcome
from scapy_chitchat.cluster.settings import RulesName

_UNKNOWN = (-1, 0, 0)
"""Below every heartbeat."""

_MOST_CUTS = 8
"""Of so many sections cut short in a row it is known what they held."""


class Taken(NamedTuple):
    """What a section did to a replica."""

    subject: int
    kind: Kind
    before: Numbers
    after: Numbers
    section: Section


class Correction(NamedTuple):
    """Where a statement differs from what was predicted."""

    subject: int
    predicted: Numbers | None
    stated: Numbers


class Observer:
    """The replicas of one run, and how far it is known what it did."""

    def __init__(self, run: int, rules: RulesName | None) -> None:
        self.run = run
        self.rules: Rules = RULES[rules or DEFAULT]
        self.possible: set[RulesName] = {rules} if rules else set(RULES)
        """The rules that nothing it did speaks against."""
        self.numbers: Table = {}
        self.windows: dict[int, Window] = {}
        self.extras: dict[int, Extra] = {}
        self.alternatives: dict[int, list[tuple[Rules, Numbers, Extra]]] = {}
        """Where other rules would have had another outcome: those, until the next statement decides."""
        self.gaps: set[int] = set()
        """Subjects of which the last section did not fit its replica."""
        self.inbox = Inbox()
        self.stated = False
        """It has stated its replicas at least once."""
        self.from_start = False
        """Its first statement was that of a node just started."""
        self.heartbeat = 0
        self.heard = 0
        """When it last stated its replicas."""
        self.rounds = 0
        self.round_heartbeat = 0
        """Its own heartbeat in the Syns of its last round; 0: none seen."""
        self.round_time = 0
        """When it sent the last Syn of that round."""
        self.pause = 0
        """How long it had no round before that one."""
        self.targets: set[str] = set()
        """The addresses of the Syns of that round."""
        self.judged = True
        """The verdicts at the end of that round are done."""
        self.last_round = 0
        """When the round before began."""
        self.dropped: dict[int, int] = {}
        """Subjects that it does not name any more, and since when."""
        self.forgotten: dict[int, int] = {}
        """Subjects that it has let go, and their last heartbeat."""
        self.entries = 0
        self.missed = 0
        self.said: Table = {}
        """Its last statement."""

    # --- reading ---

    def hear(self, table: Table, now: int, detector: Detector) -> None:
        """It reads a digest: heartbeats that are news, and runs that it did not know."""
        numbers, windows, run = self.numbers, self.windows, self.run
        if table.keys() <= numbers.keys():
            news = [subject for subject, said in table.items() if said[0] > numbers[subject][0]]
        else:
            news = [subject for subject, said in table.items() if said[0] > numbers.get(subject, _UNKNOWN)[0]]
        for subject in news:
            said, mine = table[subject], numbers.get(subject)
            if mine is None:
                if said[0] > self.forgotten.get(subject, -1):
                    self.forgotten.pop(subject, None)
                    numbers[subject] = (said[0], 0, 0)
            elif subject != run:
                numbers[subject] = (said[0], mine[1], mine[2])
                if mine[0]:
                    window = windows.get(subject)
                    if window is None:
                        window = windows[subject] = Window()
                    window.report(now, detector)

    def take(self, subject: int, section: Section, as_of: int) -> Taken | None:
        """It reads a section of a sender that stood at ``as_of``; None: there is nothing new in it."""
        before = self.numbers.get(subject)
        if before is None:
            if not self.rules.creates:
                return None
            before = (0, 0, 0)
        _, gc, start, key_values, reached = section
        if key_values and gc <= before[1] < reached and start <= before[2] and subject not in self.extras:
            # what nearly all sections are; the same by all rules
            if reached <= before[2]:
                return None
            if as_of <= reached and subject != self.run:
                after = self.numbers[subject] = (before[0], before[1], reached)
                return Taken(subject, "apply", before, after, section)
        kind, after = outcome(self.rules, before, section)
        if subject == self.run:
            return None
        extra = self.extras.get(subject, PLAIN)
        self._compare_rules(subject, before, extra, section, as_of, after)
        if kind in ("apply", "reset"):
            self.numbers[subject] = after
            self._keep(subject, filled(extra, kind, section, as_of, before[2]))
        return Taken(subject, kind, before, after, section)

    def _compare_rules(
        self, subject: int, before: Numbers, extra: Extra, section: Section, as_of: int, after: Numbers
    ) -> None:
        """Remember what a node of other rules would make of it, as long as nothing has shown which ones it has."""
        ordinary = section.key_values and section.last_gc_version <= before[1] < section.max_version
        if ordinary or len(self.possible) == 1:
            return
        for name in self.possible:
            kind, other = outcome(RULES[name], before, section)
            if other != after:
                changed = filled(extra, kind, section, as_of, before[2]) if kind in ("apply", "reset") else extra
                self.alternatives.setdefault(subject, []).append((RULES[name], other, changed))

    def _keep(self, subject: int, extra: Extra) -> None:
        if extra != PLAIN:
            self.extras[subject] = extra
        elif subject in self.extras:
            del self.extras[subject]

    def forget(self, subject: int) -> None:
        """It lets a subject go."""
        heartbeat = self.numbers.pop(subject)[0]
        for each in (self.windows, self.extras, self.dropped):
            each.pop(subject, None)
        if self.rules.remembers:
            self.forgotten[subject] = heartbeat
            while len(self.forgotten) > self.rules.remembers:
                del self.forgotten[next(iter(self.forgotten))]

    def lose(self, subjects: set[int]) -> None:
        """Subjects that are gone from the whole cluster: nothing is kept of them."""
        for subject in subjects:
            for each in (self.numbers, self.windows, self.extras, self.alternatives, self.dropped, self.forgotten):
                each.pop(subject, None)
        self.gaps -= subjects

    # --- stating ---

    def state(self, table: Table, now: int, detector: Detector) -> Iterator[Correction]:
        """Its digest: gives what was not as predicted, its own entry and its own collections aside.

        A heartbeat that rose unseen was heard since its last statement: that is news for its failure detector, too.
        Where it did not rise, although a digest was taken for read, that was in a message that it never read.
        """
        numbers = self.numbers
        counted = self.stated
        if not counted:
            for subject in numbers.keys() - table.keys():
                del numbers[subject]
        if table.keys() <= numbers.keys():
            differ = [subject for subject, said in table.items() if numbers[subject] != said]
        else:
            differ = [subject for subject, said in table.items() if numbers.get(subject) != said]
        for subject in differ:
            said, mine = table[subject], numbers.get(subject)
            if mine and said[0] > mine[0] > 0 and subject != self.run:
                self.windows.setdefault(subject, Window()).report(now, detector)
            elif mine and mine[0] > said[0] > 0 and self.said.get(subject, _UNKNOWN)[0] == said[0]:
                self.windows.setdefault(subject, Window()).take_back(detector)
            if subject == self.run or (mine and mine[0] == said[0] and mine[2] == said[2]):
                numbers[subject] = said
                continue
            if mine and subject in self.alternatives and self._other_rules(subject, said):
                continue
            self.correct(subject, mine, said)
            if counted:
                self.missed += 1
            yield Correction(subject, mine, said)
        if counted:
            self.entries += len(table) - (self.run in table)
        if self.alternatives:
            self._rule_out(table)
        self.said = table
        self.stated = True

    def _other_rules(self, subject: int, said: Numbers) -> bool:
        """Whether the statement is what other rules had predicted: then it has those."""
        for rules, numbers, extra in self.alternatives[subject]:
            if numbers[2] == said[2] and numbers[0] <= said[0]:
                self.possible -= like(self.rules.name)
                self.rules = rules
                self.numbers[subject] = said
                self._keep(subject, extra)
                return True
        return False

    def _rule_out(self, table: Table) -> None:
        """The rules that predicted something else than was stated are not its rules."""
        for subject, others in self.alternatives.items():
            said = table.get(subject)
            if said is not None and said == self.numbers.get(subject):
                for rules, numbers, _ in others:
                    if rules is not self.rules and numbers[2] != said[2]:
                        self.possible -= like(rules.name)
        self.alternatives.clear()

    def correct(self, subject: int, mine: Numbers | None, said: Numbers) -> None:
        """A statement that was not predicted: what came unseen is unknown."""
        self.numbers[subject] = said
        held = mine[2] if mine else 0
        extra = self.extras.get(subject, PLAIN)
        if said[2] < held:
            extra, held = PLAIN, 0
        if said[2] > held:
            extra = extra._replace(unknown=add(extra.unknown, held, said[2]))
        if said[1] > said[2]:
            extra = extra._replace(cuts=((0, NEVER),))
        self._keep(subject, extra)


def filled(extra: Extra, kind: Kind, section: Section, as_of: int, held: int) -> Extra:
    """A replica's specialities after a section that it took when it stood at ``held``."""
    start, reached = section.from_version_excluded, section.max_version
    if kind == "reset":
        extra, held = PLAIN._replace(floor=start), start
    if not extra.cuts and as_of <= reached:
        return extra
    cuts = [*(each for each in extra.cuts if each[0] < held), (held, as_of)][-_MOST_CUTS:]
    return extra._replace(cuts=tuple(cuts) if any(each > reached for _, each in cuts) else ())
