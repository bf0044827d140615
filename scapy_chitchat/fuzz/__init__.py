# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile cases: how they are made, and how they are run against a node.

A case is one message or a short sequence. It is a function of its strategy, a seed, its number and what is known of the
receiver, so the same four give the same bytes, in any run and any Python; a million of them need no more memory than
one. structured.py and malformed.py have the strategies; target.py and campaign.py send cases and watch the node.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from scapy_chitchat.fuzz import malformed as malformed
from scapy_chitchat.fuzz import structured as structured
from scapy_chitchat.fuzz.draw import Context, Draw
from scapy_chitchat.fuzz.registry import STRATEGIES, CaseMessages, Strategy

__all__ = [
    "STRATEGIES",
    "Case",
    "CaseMessages",
    "Context",
    "Strategy",
    "case",
    "cases",
    "malformed",
    "structured",
]


UNKNOWN = Context()
"""Nothing is known of the receiver."""


class Case(NamedTuple):
    """A case, and what it takes to make it again."""

    strategy: str
    seed: int
    number: int
    """Of its strategy's cases, from 0."""
    messages: CaseMessages

    @property
    def name(self) -> str:
        """Strategy, seed and number, as in a capture's comments."""
        return f"{self.strategy} seed={self.seed} case={self.number}"


def case(strategy: str, seed: int, number: int, context: Context) -> Case:
    """The case of this name."""
    own = zlib.crc32(strategy.encode())
    draw = Draw((seed << 96) + (own << 64) + number, context)
    messages: CaseMessages = ()
    while not messages:  # a strategy gives nothing where it drew what no wire can hold
        messages = STRATEGIES[strategy].make(draw, number)
    return Case(strategy, seed, number, messages)


def cases(seed: int, strategies: Sequence[str] = (), context: Context = UNKNOWN, first: int = 0) -> Iterator[Case]:
    """Cases without end, of all strategies or some, each as often as its share says. ``first``: pass over so many."""
    schedule = _schedule([STRATEGIES[name] for name in strategies or STRATEGIES])
    for index in count(first):
        rounds, place = divmod(index, len(schedule))
        name, before, share = schedule[place]
        yield case(name, seed, rounds * share + before, context)


def _schedule(strategies: Sequence[Strategy]) -> list[tuple[str, int, int]]:
    """One round: the strategies, mixed; how often each came before in the round, and how often it comes in all."""
    places = [
        ((turn + 0.5) / each.share, index, each.name, turn, each.share)
        for index, each in enumerate(strategies)
        for turn in range(each.share)
    ]
    return [(name, turn, share) for _, _, name, turn, share in sorted(places)]
