# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest case that still fails: fewest messages, then fewest operations, then shortest values, then compressed.

Nothing here sends: ``fails`` tells whether a fresh target fails in the same way with the given messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from msgspec import structs

from scapy_chitchat.fuzz.draw import PEOPLE
from scapy_chitchat.fuzz.registry import CaseMessages
from scapy_chitchat.records.classes import Ack, Item, Message, NodeDigest, NodeOp, SynAck
from scapy_chitchat.records.codec import DecodeError, decode, encode
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.sections import delta_of, digest_of, joined, sections, with_ids
from scapy_chitchat.wire.protocol import MAX_DATAGRAM

T = TypeVar("T")

MOST_PARTS = 12
"""Operations or digest entries whose values are made simpler; where more are needed, it is their number that counts."""

Fails: TypeAlias = Callable[[CaseMessages], bool]
"""Whether a fresh target fails in the same way with these messages."""

MessageFails: TypeAlias = Callable[[Message], bool]
"""Whether it does with this message in the place of the one that is narrowed."""


def _always() -> bool:
    return True


class Narrower:
    """Narrows one case. ``steps`` has each smaller case that failed, the smallest last, to fall back on."""

    def __init__(self, messages: CaseMessages, fails: Fails, go_on: Callable[[], bool]) -> None:
        """``go_on``: whether there is time for another try."""
        self.messages = messages
        self.steps = [messages]
        self._fails = fails
        self._go_on = go_on

    def narrow(self) -> CaseMessages:
        """The smallest case that was found."""
        self._fewest_messages()
        self.steps.append(self.messages)
        self._each(self._smaller_type)
        self._each(self._fewest_parts)
        self._fewest_messages()
        self.steps.append(self.messages)
        self._each(self._shortest_values)
        self.steps.append(self.messages)
        self._go_on = _always  # a try for each message, which is worth its time
        self._each(self._compressed)
        self.steps.append(self.messages)
        return self.messages

    def _try(self, messages: CaseMessages) -> bool:
        if not (messages and self._go_on() and self._fails(messages)):
            return False
        self.messages = messages
        return True

    # --- messages ---

    def _fewest_messages(self) -> None:
        self._shortest_start()
        for length in (1, 2, 3, 4, 8):
            if length < len(self.messages) and self._try(self.messages[-length:]):
                break
        fewest(self.messages, lambda kept: self._try(tuple(kept)))

    def _shortest_start(self) -> None:
        """Messages behind the one that does it change nothing, so half of the messages can be tried at a time."""
        low, high = 0, len(self.messages)
        while high - low > 1:
            middle = (low + high) // 2
            if self._try(self.messages[:middle]):
                high = middle
            else:
                low = middle

    # --- records ---

    def _each(self, change: Callable[[Message, MessageFails], None]) -> None:
        """Apply a way to make one message smaller to each that a node reads, the last first."""
        for index in reversed(range(len(self.messages))):
            try:
                message = decode(self.messages[index])
            except DecodeError:
                continue
            change(message, partial(self._try_instead, index))

    def _try_instead(self, index: int, message: Message) -> bool:
        if not self._go_on():
            return False  # before encoding, which of thousands of operations takes long
        try:
            data = encode(message)
        except ValueError:
            return False
        if len(data) > MAX_DATAGRAM:
            return False
        if data == self.messages[index]:
            return True
        return self._try((*self.messages[:index], data, *self.messages[index + 1 :]))

    def _smaller_type(self, message: Message, fails: MessageFails) -> None:
        """The bytes that a node would write, V0, an Ack instead of a SynAck."""
        fails(message)
        if message.version and fails(structs.replace(message, version=0)):
            message = structs.replace(message, version=0)
        if isinstance(message, SynAck):
            fails(Ack(message.version, delta=message.delta))

    def _compressed(self, message: Message, fails: MessageFails) -> None:
        """V1 after all, where compression leaves less than half."""
        compressed = structs.replace(message, version=1)
        if len(encode(compressed)) * 2 < len(encode(message)):
            fails(compressed)

    def _fewest_parts(self, message: Message, fails: MessageFails) -> None:
        """Fewest entries of the digest, then fewest sections of the delta, then fewest operations."""
        entries = fewest(digest_of(message), lambda kept: fails(_with(message, digest=kept)))
        message = _with(message, digest=entries)
        whole = fewest(sections(delta_of(message)), lambda kept: fails(_with(message, delta=joined(kept))))
        fewest(joined(whole), lambda kept: fails(_with(message, delta=kept)))

    def _shortest_values(self, message: Message, fails: MessageFails) -> None:
        for name in ("digest", "delta"):
            for index in range(min(len(_parts(message, name)), MOST_PARTS)):
                for field in _own_values(_parts(message, name)[index]):
                    for value in simpler(getattr(_parts(message, name)[index], field), field):
                        smaller = _with_value(message, name, index, field, value)
                        if fails(smaller):
                            message = smaller
                            break


def _parts(message: Message, name: str) -> tuple[Item, ...]:
    return digest_of(message) if name == "digest" else delta_of(message)


def _with(message: Message, **lists: Iterable[Item]) -> Message:
    """The message with other lists; what its type has none of is passed over."""
    return structs.replace(message, **{name: tuple(kept) for name, kept in lists.items() if hasattr(message, name)})


def _own_values(part: Item) -> tuple[str, ...]:
    return part.__struct_fields__


def _with_value(message: Message, name: str, index: int, field: str, value: str | int) -> Message:
    """The message with another value; an identity is changed wherever the message has it."""
    part = _parts(message, name)[index]
    if field in ChitchatId._fields and isinstance(part, (NodeDigest, NodeOp)):
        old = id_of(part)
        new = ChitchatId(**{**old._asdict(), field: value})
        return with_ids(message, lambda each: new if each == old else each)
    parts = list(_parts(message, name))
    parts[index] = structs.replace(part, **{field: value})
    return _with(message, **{name: parts})


# --- values ---


def simpler(value: str | int, field: str) -> Iterator[str | int]:
    """Simpler values to try instead of one, the simplest first."""
    if field == "gossip_advertise_addr":
        candidates: tuple[str | int, ...] = (PEOPLE[0].gossip_advertise_addr,)
    elif field == "status":
        candidates = ("Set",)
    elif isinstance(value, str):
        candidates = _simpler_texts(value)
    else:
        ends = tuple(2**bits - less for bits in (8, 16, 32, 53, 63) for less in (1, 0))
        candidates = tuple(each for each in (*range(9), 10, 100, *ends) if each < value)
    for each in candidates:
        if each == value:
            return
        yield each


def _simpler_texts(value: str) -> tuple[str, ...]:
    sizes = sorted({len(value) // 2**step for step in range(1, 17)} | {len(value) * 3 // 4} - {0})
    letters = tuple("a" * size for size in (*sizes, len(value)))
    return ("", *letters, *(value[:size] for size in sizes if size))


def fewest(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """As few of the items as still fail, in their order: pieces are left out, ever smaller ones."""
    kept = list(items)
    size = len(kept)
    while size:
        start = 0
        while start < len(kept):
            smaller = kept[:start] + kept[start + size :]
            if fails(smaller):
                kept = smaller
            else:
                start += size
        size //= 2
    return kept
