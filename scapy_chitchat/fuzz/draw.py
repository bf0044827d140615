# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the values of cases come from: a seeded source, and what it likes to draw.

The same seed gives the same values in every Python: only ``getrandbits`` is used, whose results are fixed, and neither
``hash`` nor the order of a set has a say.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.wire.protocol import MAX_U64

T = TypeVar("T")


NOBODY = ChitchatId("receiver", 1, "127.0.0.1:7280")
"""Whom cases are for while nothing is known of the target."""


@dataclass(frozen=True)
class Context:
    """What is known of the node that gets the cases."""

    cluster_id: str = "default"
    receiver: ChitchatId = NOBODY
    captured: tuple[bytes, ...] = ()
    """Messages of a capture, for the strategies that change real ones."""


NUMBERS = tuple(
    sorted(
        {0, 1, 2, 3, 10**9, MAX_U64 - 1}
        | {2**bits for bits in (7, 8, 15, 16, 31, 32, 53, 63)}
        | {2**bits - 1 for bits in (7, 8, 15, 16, 31, 32, 53, 63, 64)}
    )
)
"""Where numbers of 8, 16, 32, 53 and 64 bits end."""

LENGTHS = (0, 1, 2, 3, 4, 127, 128, 255, 256, 16383, 16384, 16385, 32767, 32768, 49152, 65534, 65535)
"""Where lengths of 16 bits, and blocks, end."""

WORDS = ("a", "b", "k", "key", "node-0", "READY", "enabled_services", "grpc_advertise_addr", "indexer.task:01", "127")
"""Ordinary keys, values and names."""

EDGES = (
    "", "\0", "\x7f", "\x80", "é", "ß", "\u07ff", "\u0800", "日本", "\ud7ff", "\ue000", "\ufeff", "\uffff", "\u202e",
    "a\u0301", "\U00010000", "\U0010ffff", "a\n", "\x1b[31m", "%s", "'\"", "é" * 3, " ",
)  # fmt: skip
"""Texts at the edges of UTF-8's encoding forms, and such as programs trip over."""

ODD_ADDRESSES = (
    "0.0.0.0:0", "0.0.0.0:7280", "127.0.0.1:0", "127.66.0.1:65535", "255.255.255.255:65535", "224.0.0.1:7280",
    "[::]:0", "[::1]:9", "[::ffff:127.66.0.1]:9", "[ff02::1]:7280",
)  # fmt: skip
"""Addresses that a node should not gossip to, and that no router forwards."""

PEOPLE = tuple(
    ChitchatId(f"node-{name}", generation, f"127.66.{generation}.{name + 1}:9")
    for name in range(4)
    for generation in (1, 2)
)
"""The nodes that cases are about: few, so that cases meet what earlier ones left. Nobody listens at their addresses."""


class Draw:
    """A seeded source of values."""

    def __init__(self, seed: int, context: Context) -> None:
        self.context = context
        self._seed = seed
        self._bits = random.Random(seed).getrandbits

    def shared(self, number: int, cases: int) -> Draw:
        """Another source: the same one for ``cases`` cases in a row, of which this is number ``number``."""
        return Draw((1 << 160) + self._seed - number + number // cases, self.context)

    def bits(self, count: int) -> int:
        """A number of ``count`` bits."""
        return self._bits(count)

    def below(self, end: int) -> int:
        """A number from 0 to ``end - 1``."""
        return self._bits(48) % end

    def between(self, first: int, last: int) -> int:
        """A number from ``first`` to ``last``."""
        return first + self._bits(48) % (last - first + 1)

    def chance(self, percent: int) -> bool:
        """True in ``percent`` of 100."""
        return self._bits(48) % 100 < percent

    def pick(self, choices: Sequence[T]) -> T:
        """One of ``choices``."""
        return choices[self._bits(48) % len(choices)]

    def weighted(self, choices: Sequence[tuple[int, T]]) -> T:
        """One of the second parts, as often as the first part says."""
        left = self.below(sum(weight for weight, _ in choices))
        for weight, choice in choices:
            left -= weight
            if left < 0:
                return choice
        raise AssertionError

    def some(self, items: Sequence[T], most: int) -> list[T]:
        """Up to ``most`` different ones of ``items``, in their order."""
        left = min(self.below(most + 1), len(items))
        chosen = []
        for index, item in enumerate(items):
            if self.below(len(items) - index) < left:
                chosen.append(item)
                left -= 1
        return chosen

    def data(self, size: int) -> bytes:
        """``size`` bytes."""
        return self._bits(size * 8).to_bytes(size, "little") if size else b""

    # --- numbers ---

    def number(self) -> int:
        """A number of 64 bits: small, at a boundary, or of any size."""
        kind = self.below(10)
        if kind < 4:
            return self.below(12)
        if kind < 8:
            return self.pick(NUMBERS)
        return self._bits(self.between(1, 64))

    def near(self, number: int) -> int:
        """A number at, or just beside, another; now and then far away."""
        kind = self.below(10)
        if kind < 8:
            return min(max(number + self.between(-2, 3), 0), MAX_U64)
        return self.number() if kind == 8 else self.below(8)

    # --- texts ---

    def word(self) -> str:
        """A harmless short text, with few exceptions."""
        return self.pick(EDGES) if self.below(400) == 0 else self.pick(WORDS)

    def text(self) -> str:
        """A text as hostile as texts get in less than 300 characters."""
        kind = self.below(10)
        if kind < 3:
            return self.pick(EDGES)
        if kind < 6:
            return "".join(self.pick((*EDGES, *WORDS)) for _ in range(self.between(1, 5)))
        if kind < 8:
            return "".join(self._character() for _ in range(self.between(1, 20)))
        return self.pick((*WORDS, "é", "日", "\0")) * self.between(1, 100)

    def long_text(self) -> str:
        """A text of as many bytes as a length can announce, or somewhat less."""
        size = max(self.pick(LENGTHS) - self.pick((0, 0, 0, 1, 60, 100)), 0)
        unit = self.pick(("a", "a", "é", "日", "\U0001f600", self.characters(200)))
        return unit * (size // len(unit.encode()))

    def characters(self, count: int) -> str:
        """ASCII characters that do not pack well."""
        return "".join(chr(32 + byte % 95) for byte in self.data(count))

    def _character(self) -> str:
        code = self._bits(self.pick((7, 8, 11, 16, 20)))
        return chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"

    # --- who ---

    def identity(self) -> ChitchatId:
        """A node: one of few, with few exceptions."""
        kind = self.below(40)
        if kind == 0:
            return self.context.receiver
        if kind == 1:
            return self.pick(PEOPLE)._replace(gossip_advertise_addr=self.pick(ODD_ADDRESSES))
        if kind == 2:
            return self.pick(PEOPLE)._replace(generation_id=self.number())
        return self.pick(PEOPLE)

    def identities(self, most: int) -> list[ChitchatId]:
        """One to ``most`` different nodes."""
        found = {self.identity(): None for _ in range(self.between(1, most))}
        return list(found)
