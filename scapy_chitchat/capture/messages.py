# SPDX-License-Identifier: GPL-2.0-or-later
"""From datagrams to messages: which datagrams are messages, what is said of each, and reading them from captures.

No Scapy packet is made on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from scapy_chitchat.capture.counters import Counters
from scapy_chitchat.capture.datagrams import Datagram, DatagramReader
from scapy_chitchat.capture.frame import Frame
from scapy_chitchat.capture.frames import CaptureFile, as_sources, in_time
from scapy_chitchat.capture.sources import CaptureError, Source
from scapy_chitchat.net.addresses import join_address
from scapy_chitchat.net.text import harmless_json
from scapy_chitchat.records.checks import Finding, finding, refusal, remarks
from scapy_chitchat.records.classes import Message
from scapy_chitchat.records.codec import DecodeError, decode_whole
from scapy_chitchat.records.makers import Decoded
from scapy_chitchat.wire.headers import looks_like_message
from scapy_chitchat.wire.protocol import MAGIC, STREAM_LIMIT, UDP_PORTS

Unwrap: TypeAlias = "Callable[[bytes], bytes | None]"
"""Takes a datagram as it was sent and gives the message in it; None where it holds none."""

_MAGIC = MAGIC.to_bytes(2, "little")
_SHARED_PORT = 10000
"""A home port on which much else is at home, too: what is no message there is not ours to speak of."""
_LONGEST_SIGNATURE = 512
"""Bytes within which the header of a message is looked for in a datagram that is none."""


class MessageFilter:
    """Picks the chitchat messages among datagrams.

    With ``ports`` every datagram from or to one of them counts, whatever it holds; without, the header decides.
    ``unwrap`` is asked for the message in each datagram; ``skip_bytes`` is the simple case of it, so many bytes that a
    transport puts before the message.
    """

    def __init__(
        self, ports: Collection[int] | None = None, *, unwrap: Unwrap | None = None, skip_bytes: int = 0
    ) -> None:
        self.ports = frozenset(ports) if ports else None
        self.unwrap = unwrap or (_without_first(skip_bytes) if skip_bytes else None)
        self._home = frozenset(UDP_PORTS)
        self._own = self._home - {_SHARED_PORT}

    def pick(self, datagram: Datagram, counters: Counters) -> Datagram | None:
        """The datagram, unwrapped, if it is or is to be a message. Counts what it is otherwise."""
        if self.unwrap is not None:
            data = self.unwrap(datagram.data)
            if data is None:
                self._count(datagram, counters)
                return None
            datagram = datagram._replace(data=data)
        if not self.takes(datagram):
            self._count(datagram, counters)
            return None
        if datagram.cut:
            counters.cut += 1
        return datagram

    def takes(self, datagram: Datagram) -> bool:
        """Whether this datagram is, or is to be, a message."""
        _, _, _, _, source_port, _, destination_port, data, _, _, _ = datagram
        if self.ports is not None:
            return source_port in self.ports or destination_port in self.ports
        return looks_like_message(data, source_port in self._home or destination_port in self._home)

    def _count(self, datagram: Datagram, counters: Counters) -> None:
        """What a datagram is that is no message."""
        counters.other += 1
        ends = (datagram.source_port, datagram.destination_port)
        if self._home.isdisjoint(ends):
            return
        data = datagram.data
        if data[:1] in (b"\x00", b"\x01", b"\x02", b"\x03"):
            counters.old += 1
        elif data and not self._own.isdisjoint(ends):
            counters.strange += 1
            at = data.find(_MAGIC, 1, _LONGEST_SIGNATURE)
            if at > 0 and looks_like_message(data[at:], at_home=False):
                counters.magic_at[at] = counters.magic_at.get(at, 0) + 1


def _without_first(count: int) -> Unwrap:
    return lambda data: data[count:]


def read_datagrams(frames: Iterable[Frame], reader: DatagramReader, wanted: MessageFilter) -> Iterator[Datagram]:
    """The datagrams in ``frames`` that are chitchat messages.

    Who stops before the last has lost nothing: what waits for fragments then counts only where the frames ended.
    """
    counters, read, pick = reader.counters, reader.read, wanted.pick
    try:
        for frame in frames:
            datagram = read(frame)
            if datagram is not None and (picked := pick(datagram, counters)) is not None:
                yield picked
    except CaptureError:
        reader.finish()
        raise
    reader.finish()


_SHORT = {"too-short", "bad-type", "string-short", "field-short", "block-short"}
"""What is found where bytes are missing at the end."""

_OURS = "stream-limit"
"""What stops us and not a node."""


class _Recent(dict[tuple[bytes, int], Decoded]):
    """What was read lately, by its bytes and the limit: nodes send the same Syn to several peers in a round, and equal
    Acks. All is forgotten when it becomes too much."""

    most = 256
    most_bytes = 1 << 21

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def __missing__(self, key: tuple[bytes, int]) -> Decoded:
        data, limit = key
        decoded = decode_whole(data, limit)
        self._bytes += len(data) + sum(len(stream.held) for stream in decoded.streams)
        if len(self) >= self.most or self._bytes > self.most_bytes:
            self.clear()
            self._bytes = 0
        self[key] = decoded
        return decoded


_RECENT = _Recent()


class CapturedMessage:
    """A message as it was captured, and what is to be said of it.

    It is decoded when it is first asked what is in it. ``limit`` bounds the decompressed bytes of each stream.
    """

    __slots__ = ("_findings", "_outcome", "datagram", "limit")

    def __init__(self, datagram: Datagram, limit: int = STREAM_LIMIT) -> None:
        self.datagram = datagram
        self.limit = limit
        self._outcome: Decoded | DecodeError | None = None
        self._findings: list[Finding] | None = None

    def _read(self) -> Decoded | DecodeError:
        """What came of decoding it."""
        if self._outcome is None:
            try:
                self._outcome = _RECENT[self.datagram.data, self.limit]
            except DecodeError as error:
                self._outcome = error
        return self._outcome

    @property
    def message(self) -> Message | None:
        """What a node would read; None where it refuses the message."""
        outcome = self._read()
        return outcome.message if isinstance(outcome, Decoded) else None

    @property
    def error(self) -> DecodeError | None:
        """Why a node refuses the message; None also where nobody can tell: the capture holds too little of it, or it
        holds more than we decompress."""
        refused = self._refusal
        if refused is None or refused.code == _OURS:
            return None
        return None if self.datagram.cut and refused.code in _SHORT and refused.stream is None else refused

    @property
    def _refusal(self) -> DecodeError | None:
        outcome = self._read()
        return outcome if isinstance(outcome, DecodeError) else None

    def __repr__(self) -> str:
        values = self.values()
        what = f"{values['type']} V{values['version']}" if "type" in values else "no message"
        why = f", refused: {self.error.code}" if self.error else ", cut" if self.datagram.cut else ""
        ends = f"{self.source} > {self.destination}"
        return f"<CapturedMessage {what}, {ends}, {len(self.data)} bytes, frame {self.frame}{why}>"

    @property
    def frame(self) -> int:
        """The number of the frame that completed the datagram, as Wireshark counts."""
        return self.datagram.frame

    @property
    def time(self) -> Decimal:
        """Seconds since the epoch, with as many decimals as the capture has."""
        return Decimal(self.time_text)

    @property
    def time_text(self) -> str:
        """The same as text."""
        scale = 10**self.datagram.decimals
        seconds, rest = divmod(self.datagram.time, scale)
        return f"{seconds}.{rest:0{self.datagram.decimals}d}"

    @property
    def source(self) -> str:
        """Address and port of the sender."""
        return join_address(self.datagram.source, self.datagram.source_port)

    @property
    def destination(self) -> str:
        """Address and port of the receiver."""
        return join_address(self.datagram.destination, self.datagram.destination_port)

    @property
    def tunnel(self) -> tuple[str, ...]:
        """The tunnels that it came in, outermost first, such as "vxlan 5001 10.0.0.1 > 10.0.0.2"."""
        return self.datagram.tunnel

    @property
    def data(self) -> bytes:
        """The bytes of the datagram, as far as they were captured."""
        return self.datagram.data

    @property
    def findings(self) -> list[Finding]:
        """What is to be said of the message; worked out when first asked for."""
        if self._findings is None:
            self._findings = list(self._find())
        return self._findings

    def as_json(self) -> bytes:
        """The message as one line of JSON, without the line's end: see the README for its keys."""
        head = (
            f'{{"frame":{self.frame},"time":{self.time_text},"source":"{self.source}",'
            f'"destination":"{self.destination}","length":{len(self.data)},'
        )
        if self.tunnel:
            head += f'"tunnel":{msgspec.json.encode(self.tunnel).decode()},'
        rest: dict[str, Any] = {"findings": [each.as_dict() for each in self.findings]}
        error, message = self.error, self.message
        if error:
            refused = refusal(error).as_dict()
            del refused["severity"]
            rest = {"error": refused, **rest}
        if not message:
            return harmless_json(head.encode() + msgspec.json.encode({**self.values(), **rest})[1:])
        read = msgspec.json.encode(message)[1:-1]
        return harmless_json(head.encode() + read + b"," + msgspec.json.encode(rest)[1:])

    def values(self) -> dict[str, Any]:
        """What was read: the message as in JSON, or as much of it as could be read."""
        outcome = self._read()
        return outcome.message.as_dict() if isinstance(outcome, Decoded) else outcome.partial

    def _find(self) -> Iterator[Finding]:
        if self.datagram.cut:
            yield finding("cut", len(self.data), f"{len(self.data):,} bytes were captured")
        outcome = self._read()
        if isinstance(outcome, Decoded):
            yield from remarks(outcome, self.data)
        elif self.error or outcome.code == _OURS:
            yield refusal(outcome)


def read_messages(
    sources: Source | Iterable[Source],
    ports: Collection[int] | None = None,
    *,
    limit: int = STREAM_LIMIT,
    drop_duplicates: bool = False,
    counters: Counters | None = None,
    unwrap: Unwrap | None = None,
    skip_bytes: int = 0,
    as_given: bool = False,
) -> Iterator[CapturedMessage]:
    """The chitchat messages in one capture or several.

    Several captures are read as one, by the times of their frames, or one behind the other ``as_given``; a datagram
    that begins in one and ends in the next is whole.

    ``ports``: only what goes from or to one of these UDP ports, and all of it; otherwise messages are known by their
    header on any port. ``limit`` bounds the decompressed bytes of each stream. ``drop_duplicates`` passes over
    messages that were captured twice (duplicates.py says how they are known). ``counters`` is filled on the way.
    ``unwrap`` takes the bytes of each datagram and gives those of the message in it, or None, for transports that seal
    or sign; ``skip_bytes`` is for a transport that puts so many bytes before each message.
    Raises CaptureError where a source cannot be read, or not to its end.
    """
    reader = DatagramReader(counters, drop_duplicates=drop_duplicates)
    wanted = MessageFilter(ports, unwrap=unwrap, skip_bytes=skip_bytes)
    frames = in_time(as_sources(sources), _frames, as_given=as_given)
    for datagram in read_datagrams(frames, reader, wanted):
        yield CapturedMessage(datagram, limit)


def _frames(source: Source) -> Iterator[Frame]:
    with CaptureFile(source) as frames:
        yield from frames
