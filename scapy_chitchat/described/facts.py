# SPDX-License-Identifier: GPL-2.0-or-later
"""What every derived part asks of a field, whatever it makes of it: one row a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from scapy.fields import AnyField, ByteField, FieldLenField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described.codes import BAD_UTF8, BLOCK_SHORT, FIELD_SHORT, STRING_SHORT
from scapy_chitchat.described.conditions import When, inner
from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    MagicField,
    PackedField,
    PortField,
    StringField,
    TagField,
)
from scapy_chitchat.described.kinds import BareField, FieldKind, KindTable, place_of


def _nothing(field: BareField) -> None:
    return None


def _no_names(field: BareField) -> Sequence[str]:
    return ()


def _no_layers(field: BareField) -> Sequence[type[Packet]]:
    return ()


def _itself(field: BareField, version: int) -> BareField:
    return field


def _no_check(field: BareField, layer: type[Packet], when: When | None) -> None:
    pass


def _only_short(field: BareField) -> Sequence[str]:
    return (FIELD_SHORT,)


def _named_by_field(field: MagicField | KnownByteField) -> Sequence[str]:
    return field.short_as, field.refused_as


@dataclass(frozen=True)
class Facts(Generic[FieldKind]):
    """The facts of a kind of field: each a function of the field."""

    measured_by: Callable[[FieldKind], str | None] = _nothing
    """The field that this one is computed from; None where it is not computed."""
    needs: Callable[[FieldKind], Sequence[str]] = _no_names
    """The fields before it that it cannot be read without: a length, a count, a version."""
    codes: Callable[[FieldKind], Sequence[str]] = _only_short
    """What a careful reader may find wrong with it."""
    items: Callable[[FieldKind], Sequence[type[Packet]]] = _no_layers
    """The layers of the items that it lists."""
    blocks: Callable[[FieldKind], Sequence[type[Packet]]] = _no_layers
    """The layers of the blocks that it is made of."""
    check: Callable[[FieldKind, type[Packet], When | None], None] = _no_check
    """Raises TypeError where the field, with its condition, does not fit into a layer."""
    in_version: Callable[[FieldKind, int], BareField] = _itself
    """The field as it is in messages of a version of the protocol."""
    is_tag: bool = False
    """Whether its value follows from the layer that it stands in."""

    @property
    def holds_packets(self) -> bool:
        """Whether its value is a list of packets."""
        return self.items is not _no_layers or self.blocks is not _no_layers


def _check_length(field: FieldLenField, layer: type[Packet], when: When | None) -> None:
    if not (field.length_of or field.count_of):
        raise TypeError(f"{place_of(field, layer)}: says of no field how long it is")
    if field.sz > 1 and field.fmt[0] != "<":
        raise TypeError(f"{place_of(field, layer)}: is not little-endian, as every other number is")


def _check_port(field: PortField, layer: type[Packet], when: When | None) -> None:
    before = None
    for each in map(inner, layer.fields_desc):
        if each is field and getattr(before, "port", None) != each.name:
            raise TypeError(f"{place_of(each, layer)}: the address that it is the port of does not stand before it")
        before = each


def _check_packings(field: PackedField, layer: type[Packet], when: When | None) -> None:
    kind = next((each for each in map(inner, layer.fields_desc) if each.name == field.packed_as), None)
    if type(kind) is not KnownByteField:
        raise TypeError(f"{place_of(field, layer)}: packed_as names no KnownByteField of the layer")
    for value, name in kind.i2s.items():
        if value not in field.packings and (when is None or when.field != kind.name or when.holds(value)):
            reason = f"packings does not say how what has {kind.name} {value} ({name}) is unpacked"
            raise TypeError(f"{place_of(field, layer)}: {reason}")


_NUMBER: Facts[BareField] = Facts()

FACTS: KindTable[Facts[Any]] = KindTable(
    "the description",
    {
        ByteField: _NUMBER,
        LEShortField: _NUMBER,
        LEIntField: _NUMBER,
        LELongField: _NUMBER,
        PortField: Facts[PortField](check=_check_port),
        FieldLenField: Facts[FieldLenField](
            measured_by=lambda field: field.length_of or field.count_of, check=_check_length
        ),
        MagicField: Facts[MagicField](codes=_named_by_field),
        KnownByteField: Facts[KnownByteField](codes=_named_by_field),
        TagField: Facts[TagField](codes=_named_by_field, is_tag=True),
        IPVersionField: Facts[IPVersionField](
            measured_by=lambda field: field.version_of, codes=lambda field: (FIELD_SHORT, field.refused_as)
        ),
        AddressField: Facts[AddressField](needs=lambda field: (field.version_from,)),
        StringField: Facts[StringField](
            needs=lambda field: (field.length_from,), codes=lambda field: (STRING_SHORT, BAD_UTF8)
        ),
        PackedField: Facts[PackedField](
            needs=lambda field: (field.length_from, field.packed_as),
            codes=lambda field: (BLOCK_SHORT, field.refused_as),
            check=_check_packings,
        ),
    },
)
"""The facts of each kind. Those of lists are in lists.py."""


def measured_by(field: AnyField) -> str | None:
    """The name of the field that ``field`` is computed from, or None where it is not computed."""
    return FACTS.of(field).measured_by(field)


def layers_below(layer: type[Packet]) -> Iterator[type[Packet]]:
    """The layer itself and those of the packets that its fields hold, at any depth."""
    yield layer
    for field in map(inner, layer.fields_desc):
        facts = FACTS.of(field, layer)
        for held in (*facts.items(field), *facts.blocks(field)):
            yield from layers_below(held)


def codes_of(layers: Iterable[type[Packet]]) -> Iterator[tuple[str, BareField, type[Packet]]]:
    """Each finding code that careful reading of layers, and of what they hold, can give; its field and layer."""
    for layer in dict.fromkeys(below for each in layers for below in layers_below(each)):
        for field in map(inner, layer.fields_desc):
            for code in FACTS.of(field, layer).codes(field):
                yield code, field, layer
