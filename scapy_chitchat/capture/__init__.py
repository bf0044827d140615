# SPDX-License-Identifier: GPL-2.0-or-later
"""Where messages come from: capture files, and whatever else gives frames.

frames.py goes from files to frames, datagrams.py from frames to UDP datagrams; here the datagrams that are chitchat
messages become messages. No Scapy packet is made on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from os import PathLike
from typing import Any, cast

import msgspec

from scapy_chitchat.capture.datagrams import Counters, Datagram, DatagramReader
from scapy_chitchat.capture.frames import CaptureError, CaptureFile, Frame, Source
from scapy_chitchat.net.addresses import join_address
from scapy_chitchat.records.checks import Finding, finding, refusal, remarks
from scapy_chitchat.records.classes import Message
from scapy_chitchat.records.codec import DecodeError, decode_whole
from scapy_chitchat.records.makers import Decoded
from scapy_chitchat.wire.headers import looks_like_message
from scapy_chitchat.wire.protocol import STREAM_LIMIT, UDP_PORTS

__all__ = [
    "CaptureError",
    "CaptureFile",
    "CapturedMessage",
    "Counters",
    "Datagram",
    "DatagramReader",
    "Frame",
    "MessageFilter",
    "Source",
    "read_datagrams",
    "read_messages",
]


class MessageFilter:
    """Picks the chitchat messages among datagrams.

    With ``ports`` every datagram from or to one of them counts, whatever it holds; without, the header decides.
    """

    def __init__(self, ports: Collection[int] | None = None) -> None:
        self.ports = frozenset(ports) if ports else None
        self._home = frozenset(UDP_PORTS)

    def takes(self, datagram: Datagram) -> bool:
        """Whether this datagram is, or is to be, a message."""
        _, _, _, _, source_port, _, destination_port, data, _ = datagram
        if self.ports is not None:
            return source_port in self.ports or destination_port in self.ports
        return looks_like_message(data, source_port in self._home or destination_port in self._home)

    def may_be_old(self, datagram: Datagram) -> bool:
        """Whether a datagram without the magic number may be a message of chitchat before it had one."""
        at_home = datagram.source_port in self._home or datagram.destination_port in self._home
        return at_home and datagram.data[:1] in (b"\x00", b"\x01", b"\x02", b"\x03")


def read_datagrams(frames: Iterable[Frame], reader: DatagramReader, wanted: MessageFilter) -> Iterator[Datagram]:
    """The datagrams in ``frames`` that are chitchat messages."""
    counters = reader.counters
    try:
        for frame in frames:
            datagram = reader.read(frame)
            if datagram is None:
                continue
            if wanted.takes(datagram):
                yield datagram
            else:
                counters.other += 1
                counters.old += wanted.may_be_old(datagram)
    finally:
        reader.finish()


_SHORT = {"too-short", "bad-type", "string-short", "field-short", "block-short"}
"""What is found where bytes are missing at the end."""

_OURS = "stream-limit"
"""What stops us and not a node."""


class CapturedMessage:
    """A message as it was captured, and what is to be said of it."""

    __slots__ = ("_decoded", "_findings", "_refusal", "datagram", "error", "message")

    def __init__(self, datagram: Datagram, limit: int = STREAM_LIMIT) -> None:
        self.datagram = datagram
        self.message: Message | None = None
        """What a node would read; None where it refuses the message."""
        self.error: DecodeError | None = None
        """Why a node refuses the message; None also where nobody can tell: the capture holds too little of it, or it
        holds more than we decompress."""
        self._refusal: DecodeError | None = None
        self._findings: list[Finding] | None = None
        self._decoded: Decoded | None = None
        try:
            self._decoded = decode_whole(datagram.data, limit)
            self.message = self._decoded.message
        except DecodeError as error:
            self._refusal = error
            missing = datagram.cut and error.code in _SHORT and error.stream is None
            self.error = None if missing or error.code == _OURS else error

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
        rest: dict[str, Any] = {"findings": [each.as_dict() for each in self.findings]}
        if self.error:
            refused = refusal(self.error).as_dict()
            del refused["severity"]
            rest = {"error": refused, **rest}
        if not self.message:
            return head.encode() + msgspec.json.encode({**self.values(), **rest})[1:]
        return head.encode() + msgspec.json.encode(self.message)[1:-1] + b"," + msgspec.json.encode(rest)[1:]

    def values(self) -> dict[str, Any]:
        """What was read: the message as in JSON, or as much of it as could be read."""
        return self.message.as_dict() if self.message else self._refusal.partial if self._refusal else {}

    def _find(self) -> Iterator[Finding]:
        if self.datagram.cut:
            yield finding("cut", len(self.data), f"{len(self.data):,} bytes were captured")
        if self._refusal and (self.error or self._refusal.code == _OURS):
            yield refusal(self._refusal)
        elif self._decoded:
            yield from remarks(self._decoded, self.data)


def read_messages(
    sources: Source | Iterable[Source],
    ports: Collection[int] | None = None,
    *,
    limit: int = STREAM_LIMIT,
    drop_duplicates: bool = False,
    counters: Counters | None = None,
) -> Iterator[CapturedMessage]:
    """The chitchat messages in one capture or several, one after the other.

    ``ports``: only what goes from or to one of these UDP ports, and all of it; otherwise messages are known by their
    header on any port. ``limit`` bounds the decompressed bytes of each stream. ``drop_duplicates`` passes over IP
    packets that were captured twice. ``counters`` is filled on the way.
    Raises CaptureError where a source cannot be read, or not to its end.
    """
    several = not isinstance(sources, (str, PathLike)) and not hasattr(sources, "read")
    counters = counters or Counters()
    for source in cast(Iterable[Source], sources if several else [sources]):
        with CaptureFile(source) as frames:
            reader = DatagramReader(counters, drop_duplicates=drop_duplicates)
            for datagram in read_datagrams(frames, reader, MessageFilter(ports)):
                yield CapturedMessage(datagram, limit)
