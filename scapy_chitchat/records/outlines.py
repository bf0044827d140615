# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages as who follows a whole cluster wants them: digests as columns, deltas as the bytes of their sections.

Records of all that is said cost more than to understand it, and most of it was said before: the same runs stand in
every digest, the same sections go round the whole cluster. So an outline leaves both as bytes that can be looked up,
and reads of a digest the numbers alone. It is compiled from the layers as the records are; what stands in it is read by
the readers of records when it is met for the first time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, TypeAlias, cast

from scapy.packet import Packet

from scapy_chitchat.described.columns import ColumnReader, Columns
from scapy_chitchat.described.extents import compile_cutter
from scapy_chitchat.described.kinds import place_of
from scapy_chitchat.described.lists import FAST_READ_FAILED, ItemsField
from scapy_chitchat.described.messages import PartReader, compile_message_reader, fields_in, headers, type_name
from scapy_chitchat.described.source import PythonSource
from scapy_chitchat.records.classes import DeltaItem, NodeDigest
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.makers import RecordSink, list_reader
from scapy_chitchat.records.sequence import check_sequence
from scapy_chitchat.records.values import message_fields
from scapy_chitchat.wire import layers
from scapy_chitchat.wire.headers import HEADER_SIZE

NUMBERS = ("heartbeat", "last_gc_version", "max_version")
"""The numbers of an entry of a digest, in the order of its columns."""


Digest: TypeAlias = Columns[ChitchatId]
"""A digest: of each entry the run that it is about, and NUMBERS."""


class Outline(NamedTuple):
    """A message."""

    type: str
    cluster_id: str | None
    """Of a Syn."""
    digest: Digest | None
    """Of a Syn or a SynAck."""
    delta: Sequence[bytes]
    """The bytes of each section of a SynAck or an Ack: whether a node takes them is not known yet."""


class _Heads(dict[bytes, ChitchatId]):
    """The run that an entry of a digest is about, by the bytes in front of its numbers."""

    most = 65536
    most_bytes = 1 << 23

    def __init__(self, field: ItemsField) -> None:
        super().__init__()
        self._read = list_reader(field)
        self._bytes = 0

    def __missing__(self, raw: bytes) -> ChitchatId:
        if len(self) >= self.most or self._bytes > self.most_bytes:
            self.clear()
            self._bytes = 0
        (entry,), _ = self._read(raw + bytes(8 * len(NUMBERS)), 0, 1)
        self._bytes += len(raw)
        run = self[raw] = id_of(cast(NodeDigest, entry))
        return run


@cache
def _part_reader(field: ItemsField) -> PartReader:
    """What reads a list: as sections where it has some, otherwise as columns of NUMBERS."""
    if field.section is not None:
        return compile_cutter(field)
    reader = ColumnReader(field, _Heads(field).__getitem__)
    if reader.names != NUMBERS:
        raise TypeError(f"{place_of(field)}: an outline knows the numbers {', '.join(NUMBERS)}, not {reader.names}")
    return reader


class _OutlineSink(RecordSink):
    """Makes an outline of a message; what is no list is as in a record."""

    def list_reader(self, field: ItemsField) -> PartReader:  # type: ignore[override]
        """The reader of a list as a whole."""
        return _part_reader(field)

    def message(self, layer: type[Packet], version: int, source: PythonSource, streams: str) -> str:
        """A call of Outline. Raises TypeError for a message in which there is something else."""
        parts = {"type": repr(type_name(layer)), "cluster_id": "None", "digest": "None", "delta": "()"}
        for field, kind in message_fields(layer):
            name = kind.name(field)
            if name not in parts:
                raise TypeError(f"{place_of(field, layer)}: an outline has no {name}")
            parts[name] = name if kind.items(field) is not None else kind.expression(field, source)
        return f"{source.name(Outline, 'Outline')}({', '.join(parts.values())})"


_READERS = {
    header: compile_message_reader(layer, version, _OutlineSink())
    for header, (layer, version) in headers(layers.Chitchat).items()
}


def outline(data: bytes, limit: int) -> Outline:
    """The message in a datagram. ``limit`` bounds the decompressed bytes of each stream.

    Raises ValueError where anything is odd: the decoder (codec.py) can tell then whether a node takes it, and why not.
    """
    try:
        return cast(Outline, _READERS[data[:HEADER_SIZE]](data, HEADER_SIZE, limit))
    except FAST_READ_FAILED as error:
        raise ValueError(str(error)) from None


def _delta_field() -> ItemsField:
    """The list of a delta's operations, which is the same in all messages and versions."""
    found = {
        field
        for layer, version in headers(layers.Chitchat).values()
        for field in fields_in(layer, version)
        if isinstance(field, ItemsField) and field.section is not None
    }
    (field,) = found
    return field


_READ_DELTA = list_reader(_delta_field())


def operations(section: bytes) -> Sequence[DeltaItem]:
    """The operations of a section of an outline. Raises ValueError where a node refuses it."""
    found, _ = _READ_DELTA(section, 0, None)
    check_sequence(found)
    return found
