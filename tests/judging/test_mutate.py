# SPDX-License-Identifier: GPL-2.0-or-later
"""The mutator: what it makes is what it says, and the same for the same seed."""

from __future__ import annotations

import random

import pytest

from scapy_chitchat import read_messages
from scapy_chitchat.capture import Datagram
from tests.judging.mutate import MUTATIONS, lossy, mutated
from tests.judging.traffic import Messages
from tests.support import PCAPS

pytestmark = pytest.mark.long  # hundreds of mutated captures


@pytest.fixture(scope="module")
def messages() -> Messages:
    return list(read_messages(PCAPS / "v1-five-nodes.pcap"))


def datagrams(messages: Messages) -> list[Datagram]:
    return [message.datagram for message in messages]


@pytest.mark.parametrize("seed", range(30))
def test_a_loss_takes_away_and_changes_nothing(seed: int, messages: Messages) -> None:
    kept = lossy(messages, random.Random(seed))
    places = [messages.index(message) for message in kept]
    assert places == sorted(set(places))


def test_losses_take_more_or_less(messages: Messages) -> None:
    shares = [len(lossy(messages, random.Random(seed))) / len(messages) for seed in range(50)]
    assert min(shares) < 0.3
    assert max(shares) > 0.8
    assert sum(share == 1 for share in shares) < 5


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_changes_a_stream(mutation: object, messages: Messages) -> None:
    assert callable(mutation)
    before = datagrams(messages)
    assert any(mutation(list(before), random.Random(seed)) != before for seed in range(3))


def test_a_mutated_stream_is_the_same_for_the_same_seed(messages: Messages) -> None:
    first, again, other = (datagrams(mutated(messages, random.Random(seed))) for seed in (1, 1, 2))
    assert first == again != other


def test_many_mutated_messages_can_still_be_read(messages: Messages) -> None:
    read = [message.message is not None for seed in range(20) for message in mutated(messages, random.Random(seed))]
    assert 0.8 < sum(read) / len(read) < 1, "an engine that only hears what no node reads is not tried"
