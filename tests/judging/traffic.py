# SPDX-License-Identifier: GPL-2.0-or-later
"""What messages say by themselves, and variants of a capture in which some are missing.

Only what stands in the messages, and the truth of which run had an address when: enough to tell why an engine could
not know something.
"""

from __future__ import annotations

import bisect
import random
from collections import defaultdict
from collections.abc import Callable, Sequence

from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.records.classes import KeyValueOp, Message
from scapy_chitchat.records.identity import id_of
from scapy_chitchat.records.sections import delta_of, digest_of, sections
from tests.support.truth import Run, Truth

Messages = Sequence[CapturedMessage]


def time_of(message: CapturedMessage) -> float:
    """When a message was captured, in epoch seconds."""
    return float(message.datagram.time / 10**message.datagram.decimals)


class Traffic:
    """What was said and sent in these messages."""

    def __init__(self, messages: Messages, truth: Truth) -> None:
        self._statements: dict[Run, list[float]] = defaultdict(list)
        self._deliveries: dict[tuple[Run, Run], list[float]] = defaultdict(list)
        self._resets: dict[tuple[Run, Run], list[float]] = defaultdict(list)
        self._digests: dict[Run, list[float]] = defaultdict(list)
        self.contents: dict[Run, set[int]] = defaultdict(set)
        """The versions of each subject whose key-values somebody sent."""
        self.named: set[tuple[Run, Run]] = set()
        """Who named whom in a digest."""
        self._tenants = _tenants(truth)
        for message in messages:
            if message.message is not None:
                self._read(message, message.message)

    def _read(self, captured: CapturedMessage, message: Message) -> None:
        time = time_of(captured)
        receiver = self._tenant(captured.destination, time)
        digest = digest_of(message)
        if digest:
            sender = self._tenant(captured.source, time)
            if sender:
                self._statements[sender].append(time)
                self.named.update((sender, id_of(entry)) for entry in digest)
            if receiver:
                self._digests[receiver].append(time)
        for section in sections(delta_of(message)):
            subject = id_of(section.node)
            self.contents[subject].update(op.version for op in section.changes if isinstance(op, KeyValueOp))
            if receiver:
                self._deliveries[receiver, subject].append(time)
                if section.node.from_version_excluded == 0:
                    self._resets[receiver, subject].append(time)

    def said(self, run: Run, before: float) -> float:
        """When a run had last said what it holds, in a digest; 0 where it had not."""
        return _last(self._statements.get(run, []), before)

    def digests(self, run: Run, before: float) -> int:
        """How many digests, with heartbeats in them, had been sent to a run."""
        return bisect.bisect_right(self._digests.get(run, []), before)

    def delivered(self, observer: Run, subject: Run, before: float) -> float:
        """When a section about a subject had last been sent to an observer; 0 where none had."""
        return _last(self._deliveries.get((observer, subject), []), before)

    def reset(self, observer: Run, subject: Run, before: float) -> float:
        """When a section from 0 had last been sent: the only kind that makes an observer's copy go back."""
        return _last(self._resets.get((observer, subject), []), before)

    def _tenant(self, address: str, time: float) -> Run | None:
        """The run that had an address at a time."""
        starts, runs = self._tenants.get(address, ([], []))
        place = bisect.bisect_right(starts, time)
        return runs[max(place - 1, 0)] if runs else None


def _last(times: list[float], before: float) -> float:
    place = bisect.bisect_right(times, before)
    return times[place - 1] if place else 0.0


def _tenants(truth: Truth) -> dict[str, tuple[list[float], list[Run]]]:
    found: dict[str, tuple[list[float], list[Run]]] = {}
    for run, details in sorted(truth.runs.items(), key=lambda entry: entry[1]["started"]):
        starts, runs = found.setdefault(run.gossip_advertise_addr, ([], []))
        # a start is noted when the node is ready, which is after its first message
        starts.append(details["started"] - 0.5 if starts else 0.0)
        runs.append(run)
    return found


def without(share: float) -> Callable[[Messages], Messages]:
    """Some of the messages left out; always the same ones."""

    def leave_out(messages: Messages) -> Messages:
        choice = random.Random(20)
        return [message for message in messages if choice.random() >= share]

    return leave_out


def begun_at(share: float) -> Callable[[Messages], Messages]:
    """A capture that begins when so much of it is over."""
    return lambda messages: messages[int(len(messages) * share) :]


def of_one_node(messages: Messages) -> Messages:
    """What can be captured at one node: the one that sent the first SynAck, which knows the others from the start."""
    first = next((message for message in messages if message.message and message.message.type == "SynAck"), None)
    place = first.source if first else ""
    return [message for message in messages if place in (message.source, message.destination)]


VARIANTS: dict[str, Callable[[Messages], Messages]] = {
    "whole": lambda messages: messages,
    "5 % missing": without(0.05),
    "30 % missing": without(0.3),
    "from the middle": begun_at(0.5),
    "from 90 %": begun_at(0.9),
    "one node's": of_one_node,
}
