# SPDX-License-Identifier: GPL-2.0-or-later
"""One cluster: its observers, the contents of its subjects, and what each message shows of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median

from scapy_chitchat.cluster._records import ChitchatId, Section
from scapy_chitchat.cluster.events import Event, Kind
from scapy_chitchat.cluster.history import History, Version
from scapy_chitchat.cluster.inbox import Account, Delivered, Inbox
from scapy_chitchat.cluster.liveness import SECOND, Detector
from scapy_chitchat.cluster.observer import Observer
from scapy_chitchat.cluster.propagation import Propagation
from scapy_chitchat.cluster.roster import Numbers, Roster, Table
from scapy_chitchat.cluster.settings import Settings

_SAMPLES = 1000
"""Of how many observations a guess is the median."""


class Seen:
    """What is known of a run as such."""

    __slots__ = ("ahead", "first", "last", "lives", "spoke", "stepped")

    def __init__(self, first: int) -> None:
        self.first = first
        self.last = first
        self.spoke: int | None = None
        self.stepped = 0
        """When it first stated its present max_version."""
        self.lives = 1
        """How often it has begun: more than once with a constant generation_id."""
        self.ahead = False
        """Others were seen to know more of it than itself."""


class Samples:
    """Observations whose median is a guess."""

    def __init__(self) -> None:
        self.values: deque[int] = deque(maxlen=_SAMPLES)
        self._median = 0
        self._told = 0

    def add(self, value: int) -> None:
        """One more, in nanoseconds."""
        self.values.append(value)
        self._told += 1
        if self._told < 32 or self._told % 64 == 0:
            self._median = int(median(self.values))

    @property
    def guess(self) -> int:
        """About the median, in nanoseconds; 0 where there is nothing."""
        return self._median


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
        self.seen: dict[int, Seen] = {}
        self.generations: dict[str, int] = {}
        self.propagation = Propagation(settings, cluster_id, roster.ids)
        self.intervals = Samples()
        self.tombstone_graces = Samples()
        self.dead_graces = Samples()
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

    def meet(self, table: Table) -> None:
        """A digest names runs: some for the first time."""
        for run in table.keys() - self.seen.keys():
            self.seen[run] = Seen(self.time)
            node_id, generation_id, _ = self.ids[run]
            self.emit("joined", run)
            latest = self.generations.get(node_id)
            if latest is not None and generation_id > latest:
                self.emit("restarted", run, earlier_generation_id=latest)
            self.generations[node_id] = generation_id if latest is None else max(latest, generation_id)

    # --- what a message states of its sender ---

    def states(self, run: int, inbox: Inbox, table: Table, answered: Delivered | None, is_round: bool) -> None:
        """The digest of a Syn (``is_round``), or of a SynAck that answers ``answered``."""
        observer = self.observer(run, inbox)
        self.meet(table)
        heartbeat, _, _ = table[run]
        seen = self.seen[run]
        seen.spoke = seen.last = self.time
        observer.heard = self.time
        if is_round and heartbeat == observer.round_heartbeat:
            observer.round_time = self.time
        else:
            self.judge(observer)
            is_round = is_round and heartbeat != observer.round_heartbeat
        new_round = is_round and heartbeat != observer.round_heartbeat
        self._account(observer, heartbeat, answered, new_round)
        own = observer.numbers.get(run)
        for correction in observer.state(table):
            self._steps(observer, correction.subject, correction.predicted, correction.stated)
        self._owns(observer, own, table[run])
        self._misses_in(observer, table)
        if new_round:
            if observer.round_time:
                self.intervals.add(self.time - observer.last_round)
            observer.round_heartbeat = heartbeat
            observer.last_round = observer.round_time = self.time
            observer.judged = False
            observer.rounds += 1

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
        self._losses(observer, account)

    def _first(self, observer: Observer, heartbeat: int, answered: Delivered | None) -> None:
        """Nothing was counted before: of what was delivered, at most as much was read as the heartbeat allows.

        The heartbeat of a node that has just begun is 1; what waits at the address of its earlier run is lost.
        """
        observer.heartbeat = heartbeat
        observer.from_start = heartbeat <= (2 if answered is None else 1 + len(observer.inbox.waiting))
        observer.numbers[observer.run] = (heartbeat, 0, 0)
        waited = observer.inbox.flush(everything=answered is None and heartbeat <= 2)
        if answered is not None:
            for each in waited[max(0, len(waited) - max(0, heartbeat - 1)) :]:
                self.reads(observer, each)

    def _losses(self, observer: Observer, account: Account) -> None:
        for each in account.lost:
            self.not_read += 1
            self.emit("not-read", observer.run, source=each.source, type=each.kind)
        if account.unseen:
            self.not_captured += account.unseen
            self.emit("not-captured", observer.run, count=account.unseen)

    def reads(self, observer: Observer, message: Delivered) -> None:
        """The observer reads a message."""
        if message.cluster_id != self.cluster_id:
            return
        now = message.read_at or message.time
        if message.table is not None:
            observer.hear(message.table, now, self.detector)
        for (subject, section), as_of in zip(message.sections, message.as_of, strict=True):
            taken = observer.take(subject, section, as_of)
            if taken.kind in ("apply", "reset"):
                self._steps(observer, subject, taken.before, taken.after)
            if taken.kind == "gap" or taken.kind == "inapplicable" or (taken.kind == "reset" and taken.before[2]):
                self.emit(
                    taken.kind,
                    subject,
                    observer.run,
                    from_version_excluded=section.from_version_excluded,
                    max_version=section.max_version,
                    last_gc_version=section.last_gc_version,
                )

    def _steps(self, observer: Observer, subject: int, before: Numbers | None, after: Numbers) -> None:
        """A replica stands elsewhere now."""
        if before is None or after[2] > before[2]:
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
        held = before[2] if before else 0
        if said[2] != held:
            observer.correct(run, before, said)
        if said[2] > held:
            self.seen[run].stepped = self.time
            if before:
                self.propagation.opens(run, said[2], self.time, self.observers.values())
        if before and said[1] > before[1]:
            self._collects(run, before[1], said[1])

    def _collects(self, run: int, after: int, up_to: int) -> None:
        for each in self.history(run).tombstones(after, up_to):
            self.emit("collected", run, key=each.key, value=each.value, version=each.version, status=each.status)
            self.tombstone_graces.add(self.time - each.since)

    def _misses_in(self, observer: Observer, table: Table) -> None:
        """The subjects that its digest does not name any more, or names again."""
        dropped = observer.dropped
        if len(table) + len(dropped) == len(observer.numbers) and not dropped:
            return
        for subject in [each for each in dropped if each in table]:
            del dropped[subject]
        for subject in observer.numbers.keys() - table.keys() - dropped.keys():
            dropped[subject] = self.time
            self.emit("dropped", subject, observer.run)
            window = observer.windows.get(subject)
            if window and window.judged_dead:
                self.dead_graces.add(2 * (self.time - window.judged_dead))

    # --- liveness ---

    def judge(self, observer: Observer) -> None:
        """The end of the observer's last round: its verdicts."""
        if observer.judged:
            return
        observer.judged = True
        now, detector = observer.round_time, self.detector
        grace = self.dead_grace
        for subject in observer.numbers:
            window = observer.windows.get(subject)
            if window is None or subject == observer.run:
                continue
            if window.lives(now, detector):
                if window.alive is not True:
                    window.alive, window.judged_dead = True, 0
                    self.emit("alive", subject, observer.run, phi=window.phi(now, detector))
            else:
                if not window.judged_dead:
                    window.judged_dead = now
                if window.alive:
                    self.emit("dead", subject, observer.run, phi=window.phi(now, detector))
                    self.propagation.gives_up(subject)
                window.alive = False
                window.count = window.total = 0

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

    def tells(self, sender: int | None, sections: tuple[tuple[int, Section], ...], table: Table | None) -> tuple[int, ...]:
        """The sections of a delta that a node sends: gives where the sender stood for each."""
        observer = self.observers.get(sender) if sender is not None else None
        numbers = table if table is not None else observer.numbers if observer else {}
        stood = []
        for subject, section in sections:
            known = numbers.get(subject)
            as_of = max(known[2] if known else 0, section.max_version)
            stood.append(as_of)
            if subject not in self.seen:
                self.meet({subject: (0, 0, 0)})
            self._learns(subject, section, as_of)
        return tuple(stood)

    def _learns(self, subject: int, section: Section, as_of: int) -> None:
        history = self.history(subject)
        news = history.add(section, as_of, self.time)
        for version in news.fresh:
            self._shows(subject, history, version)
        for version in news.contested:
            self.emit("contested", subject, version=version.version, key=version.key)
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
