# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest case that still fails: fewest messages, then fewest operations, then shortest values, then compressed.

Nothing here sends: ``fails`` tells whether a fresh target fails in the same way with the given messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from msgspec import structs

from scapy_chitchat.fuzz.building import Ack, NodeOp, SynAck
from scapy_chitchat.fuzz.draw import PEOPLE
from scapy_chitchat.fuzz.registry import Messages
from scapy_chitchat.records.codec import DecodeError, decode, encode
from scapy_chitchat.wire.protocol import MAX_DATAGRAM

T = TypeVar("T")

MOST_PARTS = 12
"""Operations or digest entries whose values are made simpler; where more are needed, it is their number that counts."""

Fails = Callable[[Messages], bool]


def _always() -> bool:
    return True


class Narrower:
    """Narrows one case. ``steps`` has each smaller case that failed, the smallest last, to fall back on."""

    def __init__(self, messages: Messages, fails: Fails, go_on: Callable[[], bool]) -> None:
        """``go_on``: whether there is time for another try."""
        self.messages = messages
        self.steps = [messages]
        self._fails = fails
        self._go_on = go_on

    def narrow(self) -> Messages:
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

    def _try(self, messages: Messages) -> bool:
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

    def _each(self, change: Callable[[Any, Callable[[Any], bool]], Any]) -> None:
        """Apply a way to make one message smaller to each that a node reads, the last first."""
        for index in reversed(range(len(self.messages))):
            try:
                message = decode(self.messages[index])
            except DecodeError:
                continue
            change(message, lambda smaller, at=index: self._try_instead(at, smaller))  # type: ignore[misc]

    def _try_instead(self, index: int, message: Any) -> bool:
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

    def _smaller_type(self, message: Any, fails: Callable[[Any], bool]) -> None:
        """The bytes that a node would write, V0, an Ack instead of a SynAck."""
        fails(message)
        if message.version and fails(structs.replace(message, version=0)):
            message = structs.replace(message, version=0)
        if isinstance(message, SynAck):
            fails(Ack(message.version, "Ack", message.delta))

    def _compressed(self, message: Any, fails: Callable[[Any], bool]) -> None:
        """V1 after all, where compression leaves less than half."""
        compressed = structs.replace(message, version=1)
        if len(encode(compressed)) * 2 < len(encode(message)):
            fails(compressed)

    def _fewest_parts(self, message: Any, fails: Callable[[Any], bool]) -> None:
        for name in ("digest", "delta"):
            if not getattr(message, name, ()):
                continue

            def with_parts(parts: Iterable[Any], name: str = name, message: Any = message) -> Any:
                return structs.replace(message, **{name: tuple(parts)})

            kept: Sequence[Any] = getattr(message, name)
            if name == "delta":
                whole = fewest(_sections(kept), lambda parts, make=with_parts: fails(make(chain(*parts))))  # type: ignore[misc]
                kept = list(chain(*whole))
            message = with_parts(fewest(kept, lambda parts, make=with_parts: fails(make(parts))))  # type: ignore[misc]

    def _shortest_values(self, message: Any, fails: Callable[[Any], bool]) -> None:
        for name in ("digest", "delta"):
            for index in range(min(len(getattr(message, name, ())), MOST_PARTS)):
                for field in getattr(message, name)[index].__struct_fields__:
                    for value in simpler(getattr(getattr(message, name)[index], field), field):
                        smaller = _with_value(message, name, index, field, value)
                        if fails(smaller):
                            message = smaller
                            break


def _with_value(message: Any, name: str, index: int, field: str, value: Any) -> Any:
    """The message with another value; an identity is changed wherever the message has it."""
    parts = list(getattr(message, name))
    old = getattr(parts[index], field)
    if field not in _IDENTITY:
        parts[index] = structs.replace(parts[index], **{field: value})
        return structs.replace(message, **{name: tuple(parts)})
    whole = {key: getattr(parts[index], key) for key in _IDENTITY}
    changes = {}
    for each in ("digest", "delta"):
        if hasattr(message, each):
            changes[each] = tuple(
                structs.replace(part, **{field: value})
                if getattr(part, field, None) == old and all(getattr(part, key) == whole[key] for key in _IDENTITY)
                else part
                for part in getattr(message, each)
            )
    return structs.replace(message, **changes)


_IDENTITY = ("node_id", "generation_id", "gossip_advertise_addr")


def _sections(delta: Sequence[Any]) -> list[list[Any]]:
    found: list[list[Any]] = []
    for op in delta:
        if isinstance(op, NodeOp) or not found:
            found.append([])
        found[-1].append(op)
    return found


# --- values ---


def simpler(value: Any, field: str) -> Iterator[Any]:
    """Simpler values to try instead of one, the simplest first."""
    if field == "gossip_advertise_addr":
        candidates: tuple[Any, ...] = (PEOPLE[0].gossip_advertise_addr,)
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
