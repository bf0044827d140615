# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases run against a target, and what makes it fail narrowed down.

A batch has cases of one strategy; behind it the target is asked whether it lives. So a failure tells which strategy
made it, and a strategy that only goes on making a known failure is taken less often. Batches grow while the target
answers quickly and shrink when it does not: a slow target gets a few messages at a time, and is not taken for a dead
one. A target that is started here is started anew now and then, so that it does not fill up with what cases left.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scapy_chitchat.fuzz import STRATEGIES, Context, case
from scapy_chitchat.fuzz.draw import Draw
from scapy_chitchat.fuzz.finding import CampaignFinding, folder_name, place_of, write_finding
from scapy_chitchat.fuzz.registry import CaseMessages
from scapy_chitchat.fuzz.target import QUEUE_BYTES, QUEUE_MESSAGES, Failure, Target, TargetDownError
from scapy_chitchat.fuzz.trial import narrow_finding
from scapy_chitchat.records.codec import DecodeError, decode
from scapy_chitchat.replay.reach import names_elsewhere
from scapy_chitchat.replay.rewrite import RewriteError, Rewriter, Rewriting

FRESH_AFTER = 5000
"""Cases after which a target that is started here is started anew."""

HEAVY = 16 * 1024
"""Bytes of an answer from which on the target holds so much that it is started anew."""

QUICK, SLOW = 0.02, 0.2
"""Seconds that a batch with its probe takes: below the first batches grow, above the second they shrink."""

LARGEST_BATCH = 128
"""Cases between two probes at the most: a batch doubles while it is quick."""

MOST_ATTEMPTS = 4
"""Batches with the same failure that are narrowed, while none gives a case that fails every time."""

LEAST_NARROWING = 3.0
"""Seconds for which a case is narrowed, also when the time is up."""

NARROWING_SHARE = 1 / 3
"""Of the time that is left, what narrowing one case may take: the rest is for finding others."""

LEAST_WEIGHT = 60
"""What a strategy keeps of its weight, at 100 a share, however often it makes a known failure."""


@dataclass(frozen=True)
class Plan:
    """What to run, and for how long."""

    seed: int = 1
    strategies: tuple[str, ...] = ()
    cases: int | None = None
    seconds: float | None = None
    rate: float = 20_000.0
    """Messages a second, at the most."""
    stop_on_first: bool = False
    allow_remote: bool = False
    """Whether the target may hear of nodes elsewhere: it gossips to whatever address a digest names."""
    narrow_seconds: float = 30.0
    """How long one case may be narrowed."""


@dataclass
class CampaignProgress:
    """How far a campaign is."""

    cases: int = 0
    messages: int = 0
    kept_back: int = 0
    """Cases not sent, because they name nodes that are not on this machine."""
    failures: int = 0
    by_strategy: dict[str, int] = field(default_factory=dict)
    findings: list[CampaignFinding] = field(default_factory=list)
    doing: str = ""
    started: float = field(default_factory=time.monotonic)
    narrowing: float = 0.0
    """Seconds spent on narrowing cases and on starting targets, in which no cases ran."""

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def rate(self) -> float:
        """Cases a second, while cases ran."""
        return self.cases / max(self.seconds - self.narrowing, 0.001)


def with_captured(context: Context, captured: Iterable[bytes]) -> Context:
    """The context with messages of a capture, as if they were of the receiver's cluster."""
    rewriter = Rewriter(Rewriting(cluster_id=context.cluster_id))
    messages = []
    for data in captured:
        try:
            messages.append(rewriter.bytes_of(decode(data), data))
        except (DecodeError, RewriteError):
            messages.append(data)
    return Context(context.cluster_id, context.receiver, tuple(messages))


class Batch(NamedTuple):
    """Cases of one strategy that are sent together."""

    strategy: str
    first: int
    """The number of the first."""
    cases: int
    messages: CaseMessages


def _fits(messages: Sequence[bytes], more: Sequence[bytes]) -> bool:
    """Whether the target's socket surely holds all of these."""
    size = sum(map(len, messages)) + sum(map(len, more))
    return len(messages) + len(more) <= QUEUE_MESSAGES and size <= QUEUE_BYTES


class Campaign:
    """Runs a plan. ``watch`` is called often, for a status line."""

    def __init__(
        self,
        target: Target,
        plan: Plan,
        folder: Path,
        watch: Callable[[], None] = lambda: None,
        captured: Sequence[bytes] = (),
    ) -> None:
        self.target = target
        self.plan = plan
        self.folder = folder
        self.progress = CampaignProgress()
        self._watch = watch
        self._captured = captured
        names = plan.strategies or tuple(STRATEGIES)
        self._weights = {name: STRATEGIES[name].share * 100 for name in names}
        self._numbers = dict.fromkeys(names, 0)
        self._chooser = Draw(plan.seed, Context())
        self._batch = 1
        self._history: list[bytes] = []
        self._since_start = 0
        self._made = 0
        self._next_send = 0.0

    def run(self) -> None:
        """Run until the plan is done, the first finding if that is enough, or an exception. Raises TargetDownError."""
        self._start_target()
        if self.target.command and not self.target.is_fresh:
            self._start_target()
        self.target.context = with_captured(self.target.context, self._captured)
        batch = self._next_batch()
        while not self._done():
            batch = self._run(batch)
            self._watch()
            if self.progress.findings and self.plan.stop_on_first:
                return

    def _done(self) -> bool:
        plan, progress = self.plan, self.progress
        if plan.seconds is not None and progress.seconds >= plan.seconds:
            return True
        return plan.cases is not None and progress.cases >= plan.cases

    def _start_target(self) -> None:
        started = time.monotonic()
        self.target.start()
        self._history.clear()
        self._since_start = 0
        self.progress.narrowing += time.monotonic() - started

    # --- batches ---

    def _run(self, batch: Batch) -> Batch:
        """Run one batch, and make the next while the target is at work."""
        progress = self.progress
        self._keep_to_the_rate(len(batch.messages))
        progress.doing = batch.strategy
        if self.target.command:  # where nothing is narrowed, nobody needs it
            self._history += batch.messages
        started = time.monotonic()
        self.target.send(batch.messages)
        self.target.probe()
        following = self._next_batch()
        failure = self.target.failure(asked=True)
        self._adapt(time.monotonic() - started)
        progress.cases += batch.cases
        progress.messages += len(batch.messages)
        progress.by_strategy[batch.strategy] = progress.by_strategy.get(batch.strategy, 0) + batch.cases
        self._since_start += batch.cases
        if failure:
            self._failed(failure, batch)
        elif self.target.command and (self._since_start >= FRESH_AFTER or self.target.answer_size > HEAVY):
            self._start_target()
        return following

    def _next_batch(self) -> Batch:
        """Cases of one strategy, and no more bytes than the target's socket holds."""
        strategy = self._chooser.weighted([(weight, name) for name, weight in self._weights.items()])
        structured = STRATEGIES[strategy].structured
        most = min(self._batch, (self.plan.cases or sys.maxsize) - self._made)
        first = self._numbers[strategy]
        messages: list[bytes] = []
        cases = 0
        while cases < most:
            made = case(strategy, self.plan.seed, self._numbers[strategy], self.target.context)
            if messages and not _fits(messages, made.messages):
                break
            self._numbers[strategy] += 1
            if not structured and not self.plan.allow_remote and any(map(names_elsewhere, made.messages)):
                self.progress.kept_back += 1
                continue
            cases += 1
            messages += made.messages
        self._made += cases
        return Batch(strategy, first, cases, tuple(messages))

    def _keep_to_the_rate(self, messages: int) -> None:
        now = time.monotonic()
        if self._next_send > now:
            time.sleep(self._next_send - now)
        self._next_send = max(self._next_send, now) + messages / self.plan.rate

    def _adapt(self, seconds: float) -> None:
        if seconds < QUICK:
            self._batch = min(self._batch * 2, LARGEST_BATCH)
        elif seconds > SLOW:
            self._batch = max(self._batch // 2, 1)

    # --- failures ---

    def _failed(self, failure: Failure, batch: Batch) -> None:
        self.progress.failures += 1
        started = time.monotonic()
        known = next((each for each in self.progress.findings if each.group == failure.group), None)
        if known and not self._is_worth_narrowing(known):
            known.seen += 1
            weight = self._weights[batch.strategy] * 8 // 10
            self._weights[batch.strategy] = max(weight, LEAST_WEIGHT)
        else:
            self._keep(failure, batch, known)
        self.progress.narrowing += time.monotonic() - started
        self._start_again()

    def _start_again(self) -> None:
        try:
            self._start_target()
        except TargetDownError as error:
            if self.target.command:
                raise
            raise TargetDownError(
                f"{error} It was not started here, so it cannot be started anew: see --spawn"
            ) from None

    def _is_worth_narrowing(self, known: CampaignFinding) -> bool:
        """Whether another batch that makes a known failure may give a case where the last ones gave none."""
        return bool(self.target.command) and not known.confirmed and known.seen < MOST_ATTEMPTS

    def _keep(self, failure: Failure, batch: Batch, known: CampaignFinding | None) -> None:
        """Write the finding as it is, then narrow it."""
        findings = self.progress.findings
        finding = CampaignFinding(
            group=failure.group,
            symptom=failure.symptom,
            strategy=batch.strategy,
            seed=self.plan.seed,
            first_case=batch.first,
            to=place_of(self.target.address),
            spawn=self.target.command,
            cluster_id=self.target.context.cluster_id,
            receiver=self.target.context.receiver,
            messages=batch.messages,
            seen=known.seen + 1 if known else 1,
            after_seconds=known.after_seconds if known else self.progress.seconds,
            stderr=failure.stderr,
        )
        if known:
            place = findings.index(known)
            findings[place] = finding
        else:
            place = len(findings)
            findings.append(finding)
        folder = self.folder / folder_name(place + 1, failure.group)
        write_finding(finding, folder)
        if self.target.command:
            try:
                narrow_finding(finding, self.target, tuple(self._history), self._narrow_seconds(), self._tell)
            finally:
                write_finding(finding, folder)

    def _narrow_seconds(self) -> float:
        """How long a case may be narrowed: towards the end of the plan, less."""
        plan = self.plan
        if plan.seconds is None:
            return plan.narrow_seconds
        share = (plan.seconds - self.progress.seconds) * NARROWING_SHARE
        return min(plan.narrow_seconds, max(share, LEAST_NARROWING))

    def _tell(self, doing: str) -> None:
        self.progress.doing = doing
        self._watch()
