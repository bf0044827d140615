# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes of a captured stream of messages one that no cluster would say: lost, doubled, shuffled, cut and altered.

A loss alone takes messages away and changes nothing else: what an engine is sure of must then still be true. The others
make streams that mean nothing; an engine must only bear them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from scapy_chitchat.capture import CapturedMessage, Datagram
from scapy_chitchat.records.codec import encode
from tests.judging.traffic import Messages

NUMBERS = (0, 1, 2, 255, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1)
"""What a number becomes: the ends, and what a careless count would run through."""

Choice = random.Random


def lossy(messages: Messages, choice: Choice) -> list[CapturedMessage]:
    """Messages taken away: here and there, in bursts, of one sender, to one receiver, or all before some time."""
    kind = choice.randrange(5)
    if kind == 0:
        share = choice.random() * 0.8
        return [message for message in messages if choice.random() >= share]
    if kind == 1:
        return _without_bursts(messages, choice)
    if kind == 2:
        speaker, share = choice.choice(messages).source, choice.random()
        return [message for message in messages if message.source != speaker or choice.random() >= share]
    if kind == 3:
        hearer, share = choice.choice(messages).destination, choice.random()
        return [message for message in messages if message.destination != hearer or choice.random() >= share]
    return list(messages[choice.randrange(len(messages)) :])


def _without_bursts(messages: Messages, choice: Choice) -> list[CapturedMessage]:
    kept: list[CapturedMessage] = []
    place = 0
    while place < len(messages):
        length = 1 + choice.randrange(200)
        if choice.random() < 0.6:
            kept += messages[place : place + length]
        place += length
    return kept


def mutated(messages: Messages, choice: Choice) -> list[CapturedMessage]:
    """Some mutations, one after the other."""
    changed = [message.datagram for message in messages]
    for _ in range(choice.randint(1, 4)):
        changed = choice.choice(MUTATIONS)(changed, choice)
    return [CapturedMessage(datagram) for datagram in changed]


Datagrams = list[Datagram]


def _each(share: float, change: Callable[[Datagram, Choice], Datagram]) -> Callable[[Datagrams, Choice], Datagrams]:
    def some(datagrams: Datagrams, choice: Choice) -> Datagrams:
        return [change(each, choice) if choice.random() < share else each for each in datagrams]

    return some


def _bytes(datagram: Datagram, choice: Choice) -> Datagram:
    data = bytearray(datagram.data)
    for _ in range(choice.randint(1, 3)):
        data[choice.randrange(len(data))] = choice.randrange(256)
    return datagram._replace(data=bytes(data))


def _cut(datagram: Datagram, choice: Choice) -> Datagram:
    return datagram._replace(data=datagram.data[: choice.randrange(4, len(datagram.data) + 1)])


def _time(datagram: Datagram, choice: Choice) -> Datagram:
    later = choice.choice((-1, 1)) * choice.randrange(1 << choice.randrange(1, 40))
    return datagram._replace(time=max(0, datagram.time + later))


def _records(datagram: Datagram, choice: Choice) -> Datagram:
    """Hostile numbers, and items of other places, in a message that can still be read."""
    message: Any = CapturedMessage(datagram).message
    if message is None:
        return datagram
    for name in ("digest", "delta"):
        items = list(getattr(message, name, ()))
        if not items:
            continue
        place = choice.randrange(len(items))
        items[place] = _hostile(items[place], choice)
        if choice.random() < 0.3:
            items.insert(choice.randrange(len(items)), choice.choice(items))
        message = msgspec.structs.replace(message, **{name: tuple(items)})
    try:
        return datagram._replace(data=encode(message))
    except ValueError:
        return datagram


def _hostile(item: Any, choice: Choice) -> Any:
    numbers = [name for name in item.__struct_fields__ if isinstance(getattr(item, name), int)]
    name = choice.choice(numbers)
    near = max(0, getattr(item, name) + choice.choice((-2, -1, 1, 2)))
    return msgspec.structs.replace(item, **{name: choice.choice((*NUMBERS, near))})


def _doubled(datagrams: Datagrams, choice: Choice) -> Datagrams:
    return [each for each in datagrams for _ in range(2 if choice.random() < 0.2 else 1)]


def _shuffled(datagrams: Datagrams, choice: Choice) -> Datagrams:
    reach = choice.choice((2, 10, 100, len(datagrams)))
    order = sorted(range(len(datagrams)), key=lambda place: place + choice.random() * reach)
    times = [each.time for each in datagrams]
    return [datagrams[place]._replace(time=time) for place, time in zip(order, times, strict=True)]


def _dropped(datagrams: Datagrams, choice: Choice) -> Datagrams:
    return [each for each in datagrams if choice.random() < 0.8] or datagrams


def _readdressed(datagrams: Datagrams, choice: Choice) -> Datagrams:
    def elsewhere(each: Datagram) -> Datagram:
        other = choice.choice(datagrams)
        return each._replace(source=other.source, source_port=other.source_port)

    return [elsewhere(each) if choice.random() < 0.1 else each for each in datagrams]


def _again(datagrams: Datagrams, choice: Choice) -> Datagrams:
    """The same once more, later: every heartbeat and version goes back."""
    length = datagrams[-1].time - datagrams[0].time
    return datagrams + [each._replace(time=each.time + length) for each in datagrams]


MUTATIONS: tuple[Callable[[Datagrams, Choice], Datagrams], ...] = (
    _each(0.1, _bytes),
    _each(0.1, _cut),
    _each(0.05, _time),
    _each(0.3, _records),
    _doubled,
    _shuffled,
    _dropped,
    _readdressed,
    _again,
)
