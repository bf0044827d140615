# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts where an engine's views and nodes' own differ, with the reason of each difference as far as truth can tell.

A key-value that is shown as certain is false when the truth contradicts it for good: the node has the key at another
version although it has heard of no later one than the engine says, or with another content at the same version. A node
that went on after it was last heard (its max_version or last_gc_version is above the shown one) may have replaced the
key since; such are counted apart, as ``later``, and only if the newer version is above all that the engine claims.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.judging.shown import Engine, Replica, read_view
from tests.judging.traffic import Messages, Traffic, time_of
from tests.support.truth import Held, Run, Truth, Value, View

UNEXPLAINED = "not explained"
EDGE = 0.02
"""Seconds about a sample in which a node may have judged anew: its clock has milliseconds, and messages take time."""
EXAMPLES = 5


@dataclass
class Score:
    """How a capture, or a variant of it, was judged."""

    pairs: int = 0
    pairs_equal: int = 0
    key_values: int = 0
    key_values_equal: int = 0
    certain: int = 0
    later: int = 0
    false: int = 0
    samples: int = 0
    samples_equal: int = 0
    samples_open: int = 0
    """Samples with a verdict of which the engine says that it cannot tell, and none that is wrong."""
    contradictions: int = 0
    predicted: float | None = None
    """Of the cluster, and in a total of the capture, of which least was predicted."""
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What differs, and why; how often."""
    examples: list[str] = field(default_factory=list)
    """A few differences that are not explained, and false key-values, in words."""

    @property
    def unexplained(self) -> int:
        """How many differences have no reason that messages or truth tell."""
        return sum(times for (_, why), times in self.reasons.items() if why == UNEXPLAINED)

    def differs(self, what: str, reason: str, example: str = "") -> None:
        """Count a difference."""
        self.reasons[what, reason] += 1
        if reason == UNEXPLAINED and self.reasons[what, reason] <= EXAMPLES:
            self.examples.append(f"{what}: {example}")


class Judge:
    """Feeds an engine, and asks it whenever nodes were asked."""

    def __init__(self, engine: Engine, truth: Truth, messages: Messages, whole: Messages) -> None:
        self.score = Score()
        self._engine = engine
        self._truth = truth
        self._messages = messages
        self._traffic = Traffic(messages, truth)
        self._whole = Traffic(whole, truth)
        self._turns: dict[tuple[tuple[str, int], tuple[str, int]], list[float]] = defaultdict(list)
        """When an observer judged a subject anew, as the engine says; both by node_id and generation_id."""
        self._wrong: list[tuple[View, set[Run]]] = []

    def run(self) -> Score:
        """Ask all questions in order of time, and count."""
        fed = 0
        for view in sorted([*self._truth.samples, *self._truth.states], key=lambda view: view.answered):
            while fed < len(self._messages) and time_of(self._messages[fed]) <= view.answered:
                self._note(self._engine.feed(self._messages[fed]))
                fed += 1
            states = list(self._engine.states(view.answered, view.observer))
            replicas = read_view(states, view.observer)
            shares = [state["predicted"] for state in states if state["predicted"] is not None]
            self.score.predicted = min(shares, default=None)
            if view.nodes:
                self._judge_state(view, replicas)
            else:
                self._judge_sample(view, replicas)
        for late in self._messages[fed:]:
            self._note(self._engine.feed(late))
        self._note(self._engine.finish())
        for view, wrong in self._wrong:
            self._say_why(view, wrong)
        return self.score

    def _note(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            if event["event"] in ("alive", "dead"):
                observer = event["observer"], event["observer_generation_id"]
                subject = event["node_id"], event["generation_id"]
                self._turns[observer, subject].append(float(event["time"]))
            elif event["event"] == "contradiction":
                self.score.contradictions += 1
                self.score.differs("contradiction", UNEXPLAINED, json.dumps(event, default=str)[:300])

    def _judge_sample(self, view: View, replicas: dict[Run, Replica]) -> None:
        self.score.samples += 1
        listed = view.live | view.dead
        said = {run: replica.alive for run, replica in replicas.items()}
        unknown = {run for run in listed if said.get(run) is None}
        wrong = {run for run in listed - unknown if said[run] is not (run in view.live)}
        wrong |= {run for run, alive in said.items() if alive is not None and run not in listed}
        if wrong:
            self._wrong.append((view, wrong))
        elif unknown:
            self.score.samples_open += 1
            self.score.differs("liveness", "the engine says that it cannot tell")
        else:
            self.score.samples_equal += 1

    def _say_why(self, view: View, wrong: set[Run]) -> None:
        def turned(subject: Run) -> bool:
            times = self._turns[view.observer[:2], subject[:2]]
            return any(view.asked - EDGE <= time <= view.answered + EDGE for time in times)

        now = view.answered
        if all(map(turned, wrong)):
            self.score.differs("liveness", f"judged anew within {EDGE * 1000:.0f} ms of the sample")
        elif not self._traffic.said(view.observer, now):
            self.score.differs("liveness", "nothing was heard of the observer")
        elif self._traffic.digests(view.observer, now) < self._whole.digests(view.observer, now):
            self.score.differs("liveness", "digests that were sent to it are missing here")
        else:
            apart = ", ".join(f"{run.node_id} {'live' if run in view.live else 'not live'}" for run in sorted(wrong))
            example = f"at {view.answered:.3f} {view.observer.node_id} has {apart}"
            self.score.differs("liveness", UNEXPLAINED, example)

    def _judge_state(self, view: View, replicas: dict[Run, Replica]) -> None:
        for subject, held in view.nodes.items():
            replica = replicas.get(subject)
            why = self._why_behind(view, subject, held, replica)
            self.score.pairs += 1
            if replica is not None and replica.max_version == held.max_version:
                self.score.pairs_equal += 1
            else:
                told = f"{view.observer.node_id} has {subject.node_id} at {held.max_version}, shown {_max(replica)}"
                self.score.differs("max_version", why, told)
            self._judge_missing(f"{view.observer.node_id} of {subject.node_id}", subject, held, replica, why)
            if replica is not None:
                self._judge_claims(f"{view.observer.node_id} of {subject.node_id}", held, replica)
        for subject in replicas.keys() - view.nodes.keys():
            self._judge_claims(
                f"{view.observer.node_id} of {subject.node_id}, unknown to it", NOTHING, replicas[subject]
            )

    def _why_behind(self, view: View, subject: Run, held: Held, replica: Replica | None) -> str:
        """Why an engine cannot know how far a node is: by the messages and the node's own state."""
        observer, now = view.observer, view.answered
        said = self._traffic.said(observer, now)
        if not said:
            return "the observer said nothing that was captured"
        # what was sent just before it spoke may have waited in its socket
        delivered = self._whole.delivered(observer, subject, now) > said - EDGE
        shown = None if replica is None else replica.max_version
        if (replica is None or replica.presumed) and (observer, subject) not in self._traffic.named:
            return "its digests do not name it"
        if shown is None:
            return "heard of after its last statement" if delivered else UNEXPLAINED
        if observer == subject and shown < held.max_version:
            wrote = any(change.run == subject and change.time > said - EDGE for change in self._truth.changes)
            return "its owner wrote after its last statement" if wrote else UNEXPLAINED
        if replica is not None and shown > held.max_version:
            if replica.presumed:
                return "delivered, still in the socket"
            went_back = self._whole.reset(observer, subject, now) > said - EDGE
            return "reset after its last statement" if went_back else UNEXPLAINED
        return "read after its last statement" if delivered else UNEXPLAINED

    def _judge_missing(self, who: str, subject: Run, held: Held, replica: Replica | None, why: str) -> None:
        """Each key-value that the node has, against what is shown."""
        self.score.key_values += len(held.key_values)
        shown = replica.key_values if replica else {}
        for key, value in held.key_values.items():
            if shown.get(key) == value:
                self.score.key_values_equal += 1
            elif replica is None or replica.max_version != held.max_version:
                self.score.differs("key-value", f"max_version differs: {why}")
            elif value.version not in self._traffic.contents[subject]:
                self.score.differs("key-value", "nobody sent its content")
            else:
                self.score.differs("key-value", UNEXPLAINED, f"{who} {key!r}: {value.version}, shown {shown.get(key)}")

    def _judge_claims(self, who: str, held: Held, replica: Replica) -> None:
        """Each key-value that is shown as certain, against what the node has."""
        for key, value in replica.certain.items():
            self.score.certain += 1
            real = held.key_values.get(key)
            verdict = _refuted(value, real, held, replica)
            if verdict == "later":
                self.score.later += 1
            elif verdict == "false":
                self.score.false += 1
                told = f"{who} {key!r} is {real}, shown {value}"[:300]
                self.score.differs("certain", UNEXPLAINED, f"{told} at {_max(replica)} of {held.max_version}")


NOTHING = Held(0, 0, 0, {})
"""What a node holds of a subject that it does not know."""


def _max(replica: Replica | None) -> str:
    return "nothing" if replica is None else f"{replica.max_version}{', presumed' if replica.presumed else ''}"


def _refuted(claimed: Value, real: Value | None, held: Held, replica: Replica) -> str:
    """Whether a certain key-value is true, was true until something that came ``later``, or is ``false``."""
    if claimed == real:
        return "true"
    claimed_max, claimed_gc = replica.max_version or 0, replica.last_gc_version or 0
    if real is None:  # it was deleted, and the tombstone collected
        went_on = held.max_version > claimed_max or held.last_gc_version > claimed_gc
        return "later" if went_on and held.last_gc_version >= claimed.version else "false"
    if real.version == claimed.version:
        return "false"
    return "later" if real.version > claimed_max else "false"


def total(scores: Iterable[Score]) -> Score:
    """All of them in one."""
    sum_of = Score()
    shares = []
    for each in scores:
        for name in ("pairs", "pairs_equal", "key_values", "key_values_equal", "certain", "later", "false"):
            setattr(sum_of, name, getattr(sum_of, name) + getattr(each, name))
        for name in ("samples", "samples_equal", "samples_open", "contradictions"):
            setattr(sum_of, name, getattr(sum_of, name) + getattr(each, name))
        sum_of.reasons += each.reasons
        sum_of.examples += each.examples
        shares.append(each.predicted)
    known = [share for share in shares if share is not None]
    sum_of.predicted = min(known) if known else None
    return sum_of
