# SPDX-License-Identifier: GPL-2.0-or-later
"""What every derived part asks of a field, whatever it makes of it: one row a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scapy.fields import ByteField, FieldLenField, LEIntField, LELongField, LEShortField
from scapy.packet import Packet

from scapy_chitchat.described.codes import BAD_UTF8, BLOCK_SHORT, FIELD_SHORT, STRING_SHORT
from scapy_chitchat.described.conditions import condition, inner
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
from scapy_chitchat.described.kinds import KindTable, place_of


def _nothing(field: Any) -> None:
    return None


def _no_names(field: Any) -> Sequence[str]:
    return ()


def _no_layers(field: Any) -> Sequence[type[Packet]]:
    return ()


def _itself(field: Any, version: int) -> Any:
    return field


def _no_check(field: Any, layer: type[Packet]) -> None:
    pass


def _only_short(field: Any) -> Sequence[str]:
    return (FIELD_SHORT,)


def _named_by_field(field: Any) -> Sequence[str]:
    return field.short_as, field.refused_as


@dataclass(frozen=True)
class Facts:
    """The facts of a kind of field: each a function of the field."""

    measured_by: Callable[[Any], str | None] = _nothing
    """The field that this one is computed from; None where it is not computed."""
    needs: Callable[[Any], Sequence[str]] = _no_names
    """The fields before it that it cannot be read without: a length, a count, a version."""
    codes: Callable[[Any], Sequence[str]] = _only_short
    """What a careful reader may find wrong with it."""
    items: Callable[[Any], Sequence[type[Packet]]] = _no_layers
    """The layers of the items that it lists."""
    blocks: Callable[[Any], Sequence[type[Packet]]] = _no_layers
    """The layers of the blocks that it is made of."""
    check: Callable[[Any, type[Packet]], None] = _no_check
    """Raises TypeError where the field, its condition around it, does not fit into a layer."""
    in_version: Callable[[Any, int], Any] = _itself
    """The field as it is in messages of a version of the protocol."""
    is_tag: bool = False
    """Whether its value follows from the layer that it stands in."""

    @property
    def holds_packets(self) -> bool:
        """Whether its value is a list of packets."""
        return self.items is not _no_layers or self.blocks is not _no_layers


def _check_length(field: Any, layer: type[Packet]) -> None:
    bare = inner(field)
    if not (bare.length_of or bare.count_of):
        raise TypeError(f"{place_of(bare, layer)}: says of no field how long it is")
    if bare.sz > 1 and bare.fmt[0] != "<":
        raise TypeError(f"{place_of(bare, layer)}: is not little-endian, as every other number is")


def _check_port(field: Any, layer: type[Packet]) -> None:
    before = None
    for each in map(inner, layer.fields_desc):
        if each is inner(field) and getattr(before, "port", None) != each.name:
            raise TypeError(f"{place_of(each, layer)}: the address that it is the port of does not stand before it")
        before = each


def _check_packings(field: Any, layer: type[Packet]) -> None:
    bare = inner(field)
    kind = next((each for each in map(inner, layer.fields_desc) if each.name == bare.packed_as), None)
    if type(kind) is not KnownByteField:
        raise TypeError(f"{place_of(bare, layer)}: packed_as names no KnownByteField of the layer")
    when = condition(field, layer)
    for value, name in kind.i2s.items():
        if value not in bare.packings and (when is None or when.field != kind.name or when.holds(value)):
            reason = f"packings does not say how what has {kind.name} {value} ({name}) is unpacked"
            raise TypeError(f"{place_of(bare, layer)}: {reason}")


_NUMBER = Facts()

FACTS: KindTable[Facts] = KindTable(
    "the description",
    {
        ByteField: _NUMBER,
        LEShortField: _NUMBER,
        LEIntField: _NUMBER,
        LELongField: _NUMBER,
        PortField: Facts(check=_check_port),
        FieldLenField: Facts(measured_by=lambda field: field.length_of or field.count_of, check=_check_length),
        MagicField: Facts(codes=_named_by_field),
        KnownByteField: Facts(codes=_named_by_field),
        TagField: Facts(codes=_named_by_field, is_tag=True),
        IPVersionField: Facts(
            measured_by=lambda field: field.version_of, codes=lambda field: (FIELD_SHORT, field.refused_as)
        ),
        AddressField: Facts(needs=lambda field: (field.version_from,)),
        StringField: Facts(needs=lambda field: (field.length_from,), codes=lambda field: (STRING_SHORT, BAD_UTF8)),
        PackedField: Facts(
            needs=lambda field: (field.length_from, field.packed_as),
            codes=lambda field: (BLOCK_SHORT, field.refused_as),
            check=_check_packings,
        ),
    },
)
"""The facts of each kind. Those of lists are in lists.py."""


def measured_by(field: Any) -> str | None:
    """The name of the field that ``field`` is computed from, or None where it is not computed."""
    return FACTS.of(field).measured_by(field)


def layers_below(layer: type[Packet]) -> Iterator[type[Packet]]:
    """The layer itself and those of the packets that its fields hold, at any depth."""
    yield layer
    for field in map(inner, layer.fields_desc):
        facts = FACTS.of(field, layer)
        for held in (*facts.items(field), *facts.blocks(field)):
            yield from layers_below(held)


def codes_of(layers: Iterable[type[Packet]]) -> Iterator[tuple[str, Any, type[Packet]]]:
    """Each finding code that careful reading of layers, and of what they hold, can give; its field and layer."""
    for layer in dict.fromkeys(below for each in layers for below in layers_below(each)):
        for field in map(inner, layer.fields_desc):
            for code in FACTS.of(field, layer).codes(field):
                yield code, field, layer
