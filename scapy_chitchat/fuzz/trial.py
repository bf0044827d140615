# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases tried on fresh targets: once more, or smaller and smaller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from msgspec import structs

from scapy_chitchat.fuzz.draw import Context
from scapy_chitchat.fuzz.finding import CampaignFinding
from scapy_chitchat.fuzz.narrow import Narrower
from scapy_chitchat.fuzz.registry import CaseMessages
from scapy_chitchat.fuzz.target import Failure, Target
from scapy_chitchat.records.classes import Syn
from scapy_chitchat.records.codec import DecodeError, decode, encode
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.records.sections import with_ids
from scapy_chitchat.wire.protocol import MAX_DATAGRAM, MAX_U64

FIRM_TRIES = 5
"""How often a case must fail, of as many tries, to count as reproducible."""

NARROW_PATIENCE, PANIC_PATIENCE = 1.0, 0.4
"""Seconds without an answer after which a fresh target counts as failed while a case is narrowed. A panic or an exit
that is looked for shows at once, so any other silence need not be waited for as long."""


def narrow_finding(
    finding: CampaignFinding,
    target: Target,
    history: CaseMessages = (),
    seconds: float = 30.0,
    tell: Callable[[str], None] = lambda doing: None,
) -> None:
    """Narrow the case of a finding on fresh targets, and count how often what is left fails.

    ``history``: all that the target got since it was started, for a failure that the last batch alone does not make.
    """
    trial = Trial(target, finding)
    patience = NARROW_PATIENCE if finding.is_silence else PANIC_PATIENCE
    tries = 0

    def fails(messages: CaseMessages) -> bool:
        nonlocal tries
        tries += 1
        tell(f"narrowing {finding.group}: {len(messages)} messages, try {tries}")
        return trial.fails(messages, patience)

    whole = next((each for each in (finding.messages, finding.messages, history) if each and fails(each)), None)
    steps = [finding.messages]
    if whole is not None:
        until = time.monotonic() + seconds
        narrower = Narrower(whole, fails, lambda: time.monotonic() < until)
        try:
            narrower.narrow()
        finally:
            finding.messages = narrower.messages
        steps = list(dict.fromkeys(reversed(narrower.steps)))
    for messages in steps:
        finding.messages, finding.tries, finding.reproduced = messages, 0, 0
        for _ in range(FIRM_TRIES):
            tell(f"confirming {finding.group}")
            finding.tries += 1
            finding.reproduced += trial.fails(messages, patience if finding.is_silence else target.patience)
            if not finding.confirmed and messages is not steps[-1]:
                break  # a larger case may be firm; of the largest it is told how often it fails
        if finding.confirmed:
            break
    if trial.stderr:
        finding.stderr = trial.stderr


class Trial:
    """Tries messages of a finding on fresh targets."""

    def __init__(self, target: Target, finding: CampaignFinding) -> None:
        self.target = target
        self.finding = finding
        self.stderr = ""
        """What the target wrote when it last failed."""

    def fails(self, messages: CaseMessages, patience: float) -> bool:
        """Whether a fresh target fails in the way of the finding."""
        failure = self.failure(messages, patience)
        if failure is None or failure.group != self.finding.group:
            return False
        self.stderr = failure.stderr
        return True

    def failure(self, messages: CaseMessages, patience: float | None = None) -> Failure | None:
        """What a fresh target does with these messages."""
        self.target.start()
        self.target.send(addressed(messages, self.finding, self.target.context), patience)
        return self.target.failure(patience)


def addressed(messages: Iterable[bytes], finding: CampaignFinding, context: Context) -> CaseMessages:
    """Messages that were made for another target, with the cluster_id and the id of this one."""
    old, new = finding.receiver, context.receiver
    if (finding.cluster_id, old) == (context.cluster_id, new):
        return tuple(messages)
    shift = new.generation_id - old.generation_id
    return tuple(_addressed(message, finding, context, shift) for message in messages)


def _addressed(data: bytes, finding: CampaignFinding, context: Context, shift: int) -> bytes:
    try:
        message = decode(data)
    except DecodeError:
        return data
    old, new = finding.receiver, context.receiver

    def renamed(node: ChitchatId) -> ChitchatId:
        if node.node_id != old.node_id:
            return node
        generation_id = min(max(node.generation_id + shift, 0), MAX_U64)
        address = node.gossip_advertise_addr
        return ChitchatId(
            new.node_id, generation_id, new.gossip_advertise_addr if address == old.gossip_advertise_addr else address
        )

    changed = with_ids(message, renamed)
    if isinstance(changed, Syn) and changed.cluster_id == finding.cluster_id:
        changed = structs.replace(changed, cluster_id=context.cluster_id)
    readdressed = encode(changed) if changed != message else data
    return readdressed if len(readdressed) <= MAX_DATAGRAM else data
