# SPDX-License-Identifier: GPL-2.0-or-later
"""One cluster: its observers, the contents of its subjects, and what each message shows of them."""

from __future__ import annotations

import msgspec

from scapy_chitchat.cluster._records import Section
from scapy_chitchat.cluster.events import Event, Kind
from scapy_chitchat.cluster.history import History, Version
from scapy_chitchat.cluster.inbox import Account, Delivered, Inbox
from scapy_chitchat.cluster.initial import InitialInterval
from scapy_chitchat.cluster.ladder import Rung, Step, Why
from scapy_chitchat.cluster.liveness import PRIOR_WEIGHT, SECOND, Detector, Window
from scapy_chitchat.cluster.observer import Observer
from scapy_chitchat.cluster.owners import Owners
from scapy_chitchat.cluster.propagation import Propagation
from scapy_chitchat.cluster.roster import Numbers, Roster, Table
from scapy_chitchat.cluster.samples import Samples
from scapy_chitchat.cluster.settings import Settings
from scapy_chitchat.cluster.troubles import MAX_DATAGRAM, SILENT_ROUNDS, Troubles

_ENTRY = 50
"""Bytes of a digest entry without its node_id, of IPv4, and about those of a section's Node operation."""


class Community:
    """One cluster, as far as its messages show it."""

    def __init__(self, cluster_id: str, settings: Settings, roster: Roster, out: list[Event]) -> None:
        self.cluster_id = cluster_id
        self.settings = settings
        self.detector = Detector.of(settings)
        self.roster = roster
        self.ids = roster.ids
        self.observers: dict[int, Observer] = {}
        self.histories: dict[int, History] = {}
        self.troubles = Troubles(roster, self.emit)
        self.owners = Owners(roster.ids, self.emit, self.troubles)
        self.seen = self.owners.seen
        self.propagation = Propagation(settings, cluster_id, roster.ids)
        self.intervals = Samples()
        self.tombstone_graces = Samples()
        self.dead_graces = Samples()
        self.initial = InitialInterval()
        self.messages = 0
        self.not_read = 0
        self.not_captured = 0
        self.time = 0
        self.frame: int | None = 0
        self.decimals = 6
        self._out = out

    # --- events ---

    def emit(self, event: Kind, subject: int | None, observer: int | None = None, **added: object) -> None:
        """Something happened, at the message that is being taken."""
        about = self.ids[subject] if subject is not None else None
        self._out.append(
            Event(
                time=self.time,
                decimals=self.decimals,
                frame=self.frame,
                event=event,
                cluster_id=self.cluster_id,
                observer=self.ids[observer] if observer is not None else None,
                node_id=about.node_id if about else None,
                generation_id=about.generation_id if about else None,
                **added,  # type: ignore[arg-type]
            )
        )

    def waits(self, message: Delivered, destination: str, now: int, frame: int) -> None:
        """A message has waited too long for its answer."""
        self.time, self.frame = now, frame
        self.emit("unanswered", message.sender, to=destination, type=message.kind)

    # --- runs ---

    def observer(self, run: int, inbox: Inbox) -> Observer:
        """The run as an observer, which reads this inbox now."""
        known = self.observers.get(run)
        if known is None:
            known = self.observers[run] = Observer(run, self.settings.rules)
        known.inbox = inbox
        return known

    def history(self, subject: int) -> History:
        """The contents of a run."""
        known = self.histories.get(subject)
        if known is None:
            known = self.histories[subject] = History()
        return known

    # --- what a message states of its sender ---

    def states(
        self, run: int, inbox: Inbox, table: Table, answered: Delivered | None, to: str | None, size: int
    ) -> None:
        """The digest of a Syn to an address, or of a SynAck (``to`` is None) that answers ``answered``.

        ``size``: bytes of the digest, as far as they are known.
        """
        self.owners.meet(table, self.time)
        observer = self._at_its_statement(run, inbox, table[run][0])
        if observer is None:
            return
        heartbeat = table[run][0]
        new_round = to is not None and heartbeat != observer.round_heartbeat
        if to is None or new_round:
            self.judge(observer)
        else:
            observer.round_time = self.time
            observer.targets.add(to or "")
        self._account(observer, heartbeat, answered, new_round)
        self._compare(observer, table)
        self.troubles.digest(run, table, size)
        seen = self.seen[run]
        seen.spoke = seen.last = observer.heard = self.time
        seen.spoke_frame = self.frame
        if new_round:
            self._new_round(observer, heartbeat, to or "")

    def _at_its_statement(self, run: int, inbox: Inbox, heartbeat: int) -> Observer | None:
        """The observer that states; a new one where the node began again; None where it contradicts itself."""
        observer = self.observer(run, inbox)
        if heartbeat >= observer.heartbeat:
            return observer
        before, observer.heartbeat = observer.heartbeat, heartbeat
        if not self.owners.begins_again(run, heartbeat, before):
            return None
        self.history(run).contest()
        del self.observers[run]
        return self.observer(run, inbox)

    def _compare(self, observer: Observer, table: Table) -> None:
        """The digest against what was predicted."""
        run = observer.run
        first = not observer.stated
        own = None if first else observer.numbers.get(run)
        for correction in observer.state(table, self.time, self.detector):
            subject, before, said = correction
            if (before is None or said[2] > before[2]) and self.propagation.watches(subject):
                self._steps(observer, subject, said)
            self.owners.claims(subject, said, self.frame)
        if first and not observer.from_start:
            observer.windows = {subject: Window(self.time) for subject in table}
        self._owns(observer, own, table[run])
        self._misses_in(observer, table)

    def _new_round(self, observer: Observer, heartbeat: int, to: str) -> None:
        observer.pause = self.time - observer.round_time if observer.round_time else 0
        if observer.round_time:
            between = self.time - observer.last_round
            self.intervals.add(between, between)
        observer.round_heartbeat = heartbeat
        observer.last_round = observer.round_time = self.time
        observer.judged = False
        observer.rounds += 1
        observer.targets = {to}

    def _account(self, observer: Observer, heartbeat: int, answered: Delivered | None, new_round: bool) -> None:
        if answered is not None:
            answered.read_at = self.time
        if not observer.stated:
            self._first(observer, heartbeat, answered)
            return
        reads = heartbeat - observer.heartbeat - new_round
        observer.heartbeat = heartbeat
        account = observer.inbox.settle(reads, answered is not None)
        for each in account.read:
            self.reads(observer, each)
        self._losses(observer, account, new_round)
        for each in (*account.read, *account.lost):
            each.table, each.sections = None, ()  # who waits for its answer holds it longer

    def _first(self, observer: Observer, heartbeat: int, answered: Delivered | None) -> None:
        """Nothing was counted before: of what was delivered, at most as much was read as the heartbeat allows.

        The heartbeat of a node that has just begun is 1; what waits at the address of its earlier run is lost.
        """
        self.seen[observer.run].began = self.time, heartbeat
        observer.heartbeat = heartbeat
        observer.from_start = heartbeat <= (2 if answered is None else 1 + len(observer.inbox.waiting))
        observer.numbers[observer.run] = (heartbeat, 0, 0)
        self.owners.speaks(observer.run, observer.from_start)
        waited = observer.inbox.flush(everything=answered is None and heartbeat <= 2)
        if answered is not None:
            for each in waited[max(0, len(waited) - max(0, heartbeat - 1)) :]:
                self.reads(observer, each)

    def _losses(self, observer: Observer, account: Account, new_round: bool) -> None:
        for each in account.lost:
            self.not_read += 1
            self.emit("not-read", observer.run, source=each.source, type=each.kind)
        for each in account.unanswered:
            if each.kind == "Syn" and each.table is not None and self._answer_size(observer, each.table) > MAX_DATAGRAM:
                self.emit("oversized-answer", observer.run, to=each.source)
        unseen = account.unseen - self._silent_rounds(observer, new_round) if account.unseen else 0
        if unseen > 0:
            self.not_captured += unseen
            self.emit("not-captured", observer.run, count=unseen)

    def _silent_rounds(self, observer: Observer, new_round: bool) -> int:
        """The rounds without a Syn that it may have had: who knows nobody has such, and counts them like messages."""
        if not (self.interval and observer.last_round):
            return 0
        return max(0, (self.time - observer.last_round + self.interval // 8) // self.interval - new_round)

    def _answer_size(self, observer: Observer, asked: Table) -> int:
        """About the bytes of a SynAck to this digest, nothing of it compressed."""
        size = sum(_ENTRY + len(self.ids[each].node_id) for each in observer.numbers)
        for subject, (_, _, held) in observer.numbers.items():
            known = asked.get(subject)
            history = self.histories.get(subject)
            if history and held > (known[2] if known else 0):
                size += history.size_above(known[2] if known else 0)
        return size

    def reads(self, observer: Observer, message: Delivered) -> None:
        """The observer reads a message."""
        if message.cluster_id != self.cluster_id:
            return
        now = message.read_at or message.time
        if message.table is not None:
            observer.hear(message.table, now, self.detector)
        for (subject, section), as_of in zip(message.sections, message.as_of, strict=True):
            taken = observer.take(subject, section, as_of)
            if taken is None:
                continue
            if taken.kind in ("gap", "inapplicable"):
                observer.gaps.add(subject)
            if taken.kind in ("apply", "reset"):
                observer.gaps.discard(subject)
                if taken.after[2] > taken.before[2] and self.propagation.watches(subject):
                    self._steps(observer, subject, taken.after)
            if taken.kind == "gap" or taken.kind == "inapplicable" or (taken.kind == "reset" and taken.before[2]):
                self.emit(
                    taken.kind,
                    subject,
                    observer.run,
                    from_version_excluded=section.from_version_excluded,
                    max_version=section.max_version,
                    last_gc_version=section.last_gc_version,
                )

    def _steps(self, observer: Observer, subject: int, after: Numbers) -> None:
        """A replica stands higher now."""
        for each in self.propagation.reaches(subject, observer.run, after[2], self.time):
            self.emit(
                "propagated",
                subject,
                version=each.version,
                seconds=(self.time - each.opened) / SECOND,
                first=self.ids[each.first].node_id if each.first is not None else "",
                last=self.ids[each.last].node_id if each.last is not None else "",
            )

    def _owns(self, observer: Observer, before: Numbers | None, said: Numbers) -> None:
        """What a node states of itself."""
        run = observer.run
        self.owners.states(run, before, said)
        held = before[2] if before else 0
        if said[2] != held:
            observer.correct(run, before, said)
        if said[2] > held:
            self.seen[run].stepped = self.time
            if before:
                self.propagation.opens(run, said[2], self.time, self.observers.values())
        if before and said[1] > before[1]:
            self._collects(observer, before[1], said[1])

    def _collects(self, observer: Observer, after: int, up_to: int) -> None:
        for each in self.history(observer.run).tombstones(after, up_to):
            self.emit(
                "collected", observer.run, key=each.key, value=each.value, version=each.version, status=each.status
            )
            self.tombstone_graces.add(observer.last_round - each.since, self.time - each.since)

    def _misses_in(self, observer: Observer, table: Table) -> None:
        """The subjects that its digest does not name any more, or names again."""
        dropped = observer.dropped
        if not dropped and len(table) == len(observer.numbers):
            return
        for subject in [each for each in dropped if each in table]:
            del dropped[subject]
        for subject in observer.numbers.keys() - table.keys() - dropped.keys():
            dropped[subject] = self.time
            self.emit("dropped", subject, observer.run)
            window = observer.windows.get(subject)
            if window and window.judged_dead:
                earliest = observer.last_round - window.judged_dead
                self.dead_graces.add(2 * earliest, 2 * (self.time - window.judged_dead))

    def _forgets(self, observer: Observer, now: int) -> None:
        """The subjects that it has named dead for all of their grace period are let go."""
        grace = self.dead_grace
        for subject in list(observer.dropped) if grace else ():
            window = observer.windows.get(subject)
            if window and window.judged_dead and now >= window.judged_dead + grace:
                observer.forget(subject)
                self.emit("forgotten", subject, observer.run)

    # --- liveness ---

    def judge(self, observer: Observer) -> None:
        """The end of the observer's last round: its verdicts."""
        if observer.judged:
            return
        observer.judged = True
        now, detector = observer.round_time, self.detector
        threshold, prior, windows, run = detector.threshold, detector.prior, observer.windows, observer.run
        for subject in observer.numbers:
            window = windows.get(subject)
            if window and window.alive and not window.late:
                if (now - window.last) * (window.count + PRIOR_WEIGHT) <= threshold * (window.total + prior):
                    continue  # what verdict() says, for nearly all
            elif subject == run:
                continue
            if window is None:
                window = observer.windows[subject] = Window()
            verdict = window.verdict(now, detector)
            if verdict is window.alive and verdict is not False:
                continue
            if verdict:
                window.alive, window.judged_dead = True, 0
                self.emit("alive", subject, observer.run, phi=window.phi(now, detector))
            elif verdict is None:
                window.alive = None
            else:
                self._dies(observer, subject, window)
        if observer.dropped:
            self._forgets(observer, now)
        if self.settings.initial_interval is None and self.initial.round_ends(
            observer, self.ids, detector, self.interval
        ):
            self.detector = detector._replace(initial=self.initial.guess or detector.initial)

    def _dies(self, observer: Observer, subject: int, window: Window) -> None:
        now = observer.round_time
        if window.alive or window.late:
            self.emit("dead", subject, observer.run, phi=window.phi(now, self.detector))
            self.propagation.gives_up(subject)
            spoke = self.seen[subject].spoke
            self.troubles.death(observer.run, subject, observer.pause, spoke, now, self.interval)
        window.die(now)

    @property
    def predicted(self) -> float | None:
        """The share of the digest entries about others that were predicted exactly."""
        entries = sum(each.entries for each in self.observers.values())
        missed = sum(each.missed for each in self.observers.values())
        return 1 - missed / entries if entries else None

    @property
    def dead_grace(self) -> int:
        """``dead_node_grace_period`` in nanoseconds; 0 while nothing shows it."""
        given = self.settings.dead_grace
        return self.dead_graces.guess if given is None else round(given * SECOND)

    @property
    def interval(self) -> int:
        """The gossip interval in nanoseconds; 0 while nothing shows it."""
        given = self.settings.interval
        return self.intervals.guess if given is None else round(given * SECOND)

    # --- contents ---

    def tells(
        self, sender: int | None, sections: tuple[tuple[int, Section], ...], table: Table | None
    ) -> tuple[int, ...]:
        """The sections of a delta that a node sends: gives where the sender stood for each."""
        observer = self.observers.get(sender) if sender is not None else None
        numbers = table if table is not None else observer.numbers if observer else {}
        histories, seen, claims = self.histories, self.seen, self.owners.claims
        stood = []
        for subject, section in sections:
            known = numbers.get(subject)
            as_of = section.max_version
            if known and known[2] > as_of:
                as_of = known[2]
            stood.append(as_of)
            if subject not in seen:
                self.owners.meet({subject: (0, 0, 0)}, self.time)
            if subject != sender and as_of > seen[subject].ahead:
                claims(subject, (0, 0, as_of), self.frame)
            history = histories.get(subject)
            if history is None or not section.max_version or not history.has(section, as_of):
                self._learns(subject, section, as_of)
            self.troubles.section(subject, section, as_of)
        return tuple(stood)

    def _learns(self, subject: int, section: Section, as_of: int) -> None:
        history = self.history(subject)
        news = history.add(section, as_of, self.time)
        for version in news.fresh:
            self._shows(subject, history, version)
        for version in news.contested:
            if self.seen[subject].lives > 1:
                self.emit("contested", subject, version=version.version, key=version.key)
            else:
                what = f"version {version.version} of {version.key!r} was sent with another content before"
                self.emit("contradiction", subject, version=version.version, key=version.key, what=what)
        if len(history.order) > 2 * history.kept:
            self.tidy(subject, history)

    def _shows(self, subject: int, history: History, version: Version) -> None:
        """A version is seen for the first time."""
        seen = self.seen[subject]
        self.propagation.follows(subject, version, seen.stepped, self.time, self.observers.values())
        earlier = history.before(version)
        if history.newest(version.key) is not version:
            return
        self.emit(
            "deleted" if version.status == "Delete" else "changed",
            subject,
            key=version.key,
            value=version.value,
            earlier=earlier.value if earlier else None,
            version=version.version,
            status=version.status,
        )

    def tidy(self, subject: int, history: History) -> None:
        """Forget the versions that no replica can hold."""
        stands = [numbers for each in self.observers.values() if (numbers := each.numbers.get(subject))]
        history.tidy([(held, gc) for _, gc, held in stands])

    def ladder(self) -> list[Step]:
        """The followed versions with their ways, and why some observers have them not."""
        behind = {id(step): (subject, lacking) for subject, step, lacking in self.propagation.lacking()}
        return [self._ladder(step, *behind.get(id(step), (None, set()))) for step in self.propagation.steps]

    def _ladder(self, step: Step, subject: int | None, lacking: set[int]) -> Step:
        missing = [Rung(self.ids[run], None, self._why_behind(run, subject)) for run in sorted(lacking)]
        return msgspec.structs.replace(step, rungs=[*step.rungs, *missing], decimals=self.decimals)

    def _why_behind(self, run: int, subject: int | None) -> Why:
        """Why an observer has not the version that others have of a subject."""
        observer = self.observers[run]
        if self.interval and self.time - observer.heard > SILENT_ROUNDS * self.interval:
            return "silent"
        if subject is not None and self.troubles.is_stuck(subject):
            return "stuck"
        waiting = (each for each in observer.inbox.waiting if any(about == subject for about, _ in each.sections))
        if any(waiting):
            return "not-read"
        if subject is not None and subject in observer.gaps:
            return "gap"
        return "no-round"
