# SPDX-License-Identifier: GPL-2.0-or-later
"""What a strategy is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scapy_chitchat.fuzz.draw import Draw

CaseMessages = tuple[bytes, ...]
"""A case: the messages to send, in this order."""

CaseMaker = Callable[[Draw, int], CaseMessages]
"""Makes a case of drawn values; the second argument is its number, for strategies that go through something."""


@dataclass(frozen=True)
class Strategy:
    """One way to make cases."""

    name: str
    text: str
    """What it does, in a line."""
    share: int
    """How many of all cases are its own, against the shares of the others."""
    structured: bool
    """Whether its messages are well-formed, so that most get past a node's checks of header and digest."""
    make: CaseMaker


STRATEGIES: dict[str, Strategy] = {}
"""All strategies, by name."""


def strategy(*, share: int, structured: bool = False) -> Callable[[CaseMaker], CaseMaker]:
    """Enter a function in the list, under its own name and with its docstring."""

    def enter(make: CaseMaker) -> CaseMaker:
        name = make.__name__.replace("_", "-")
        text = (make.__doc__ or "").strip()
        STRATEGIES[name] = Strategy(name, text, share, structured, make)
        return make

    return enter
