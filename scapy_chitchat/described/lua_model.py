# SPDX-License-Identifier: GPL-2.0-or-later
"""What a dissector is made from, and what its parts need to know of it: layers, names, and how Lua says a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scapy.fields import AnyField, ByteEnumField, FieldLenField, PacketListField, StrLenField
from scapy.packet import Packet

from scapy_chitchat.described.conditions import Unless, When, condition, inner
from scapy_chitchat.described.fields import Unpacker
from scapy_chitchat.described.kinds import BareField
from scapy_chitchat.described.lua_kinds import LUA, CannotDescribeError
from scapy_chitchat.described.lua_source import LuaValue, quoted, snake_case, title, variable


@dataclass(frozen=True)
class Description:
    """What a dissector is made from, besides the layers' fields."""

    name: str
    """As in the protocol column."""
    title: str
    abbreviation: str
    """The first word of every filter."""
    root: type[Packet]
    """The layer that every datagram starts with."""
    ports: str
    """The UDP ports, as Wireshark writes a range."""
    written_by: str
    """What writes the file, and of which version."""
    parts: Path
    """The folder of the hand-written Lua."""
    codes: Mapping[str, tuple[str, str]]
    """Severity and text of each finding."""
    constants: Mapping[str, LuaValue] = field(default_factory=dict)
    """What the hand-written parts ask for, by name."""
    checks: Mapping[type[Packet], Sequence[str]] = field(default_factory=dict)
    """Layers of items for which check_<layer>() is called: with the values of these fields for text, else with where
    they start."""
    labels: Mapping[type[Packet], Sequence[str]] = field(default_factory=dict)
    """What an item's line in the tree says: these fields."""
    extra_fields: Sequence[tuple[str, str]] = ()
    """Fields that the hand-written parts show: name, and the Lua that declares it, with %s for the filter name."""
    libraries: Sequence[str] = ()
    """Hand-written parts that others use by their name; they stand first."""
    unpackers: Mapping[Unpacker, str] = field(default_factory=dict)
    """The function of the hand-written parts for each unpacker that a packed field names: of the bytes, their range in
    the tree, and a name for what they hold, it makes that, or nil and a reason."""
    before: Sequence[str] = ()
    """Hand-written parts that stand before the layers."""
    after: Sequence[str] = ()
    """Hand-written parts that stand behind the layers."""
    finish: Sequence[str] = ()
    """Lua that runs when a message has been read."""


def fields_of(layer: type[Packet]) -> list[BareField]:
    """The fields of a layer without their conditions."""
    return [inner(each) for each in layer.fields_desc]


def payloads(layer: type[Packet]) -> dict[int, type[Packet]]:
    """The layers bound behind this one, by the value of the one field that tells them apart."""
    return {next(iter(when.values())): bound for when, bound in layer.payload_guess if len(when) == 1}


def payload_field(layer: type[Packet]) -> str | None:
    """The name of that field."""
    names = {name for when, _ in layer.payload_guess for name in when}
    if len(names) > 1:
        raise CannotDescribeError(f"{layer.__name__}: payloads told apart by more than one field: {sorted(names)}")
    return next(iter(names), None)


class Model:
    """A description, looked at as a dissector needs it."""

    def __init__(self, description: Description) -> None:
        self.of = description
        self.messages = [description.root, *dict.fromkeys(payloads(description.root).values())]
        self.items = list(dict.fromkeys(self._find_items(self.messages)))
        self.has_streams = any(LUA.of(each, layer).blocks(each) for layer, each in self.all_fields())
        self.names: dict[str, dict[int, str]] = {}
        self._declared = dict(self._all_declarations())

    def _find_items(self, layers: Sequence[type[Packet]]) -> Iterator[type[Packet]]:
        """Layers of items, innermost first."""
        for layer in layers:
            for each in fields_of(layer):
                held = LUA.of(each, layer).layers(each)
                yield from self._find_items(held)
                yield from held

    def all_fields(self) -> Iterator[tuple[type[Packet], BareField]]:
        """Every field, and its layer."""
        for layer in (*self.messages, *self.items):
            for each in fields_of(layer):
                yield layer, each

    # --- names ---

    def filter_name(self, layer: type[Packet], name: str = "") -> str:
        """What a user filters by."""
        between = [] if layer in self.messages else [snake_case(layer.__name__)]
        return ".".join([self.of.abbreviation, *between, *([name] if name else [])])

    def key(self, layer: type[Packet], name: str = "") -> str:
        """The name of a field, or of an item's layer, in F."""
        return self.filter_name(layer, name).partition(".")[2].replace(".", "_")

    def names_of(self, each: ByteEnumField) -> str:
        """Lua for the names of an enum's values."""
        return next(f"NAMES.{name}" for name, values in self.names.items() if values == each.i2s)

    # --- declarations ---

    def declarations(self) -> dict[str, str]:
        """Name in F and declaration of every field; those of the messages first."""
        return self._declared

    def _all_declarations(self) -> Iterator[tuple[str, str]]:
        declared: dict[str, str] = {}
        for key, declaration in self._every_declaration():
            if declared.setdefault(key, declaration) != declaration:
                raise CannotDescribeError(f"{key}: two fields of this name that are not alike")
            yield key, declaration

    def _every_declaration(self) -> Iterator[tuple[str, str]]:
        for layer in self.messages:
            for each in fields_of(layer):
                yield from self.declare(layer, each)
        for layer in self.items:
            yield self.key(layer), _protofield("none", self.filter_name(layer), layer.__name__)
            for each in fields_of(layer):
                yield from self.declare(layer, each)
        for name, label in (
            ("malformed_load", "Bytes that cannot be read"),
            ("trailing_data", "Bytes behind the message"),
        ):
            word = name.replace("malformed_", "malformed.")
            yield name, _protofield("bytes", f"{self.of.abbreviation}.{word}", label)
        yield "finding_detail", _protofield("string", f"{self.of.abbreviation}.finding.detail", "Detail")
        for name, declaration in self.of.extra_fields:
            yield name, declaration % quoted(f"{self.of.abbreviation}.{name}")

    def declare(self, layer: type[Packet], each: BareField) -> Iterator[tuple[str, str]]:
        """Name in F and declaration of what shows a field."""
        key, name, label = self.key(layer, each.name), self.filter_name(layer, each.name), title(each.name)
        kind = LUA.of(each, layer)
        values = kind.names(each)
        more: tuple[str, ...] = kind.display
        if values:
            known = next((known for known, others in self.names.items() if others == values), key)
            self.names[known] = values
            more = (*more, f"NAMES.{known}")
        for suffix, form in kind.forms(each):
            yield f"{key}{suffix}", _protofield(form, f"{name}{suffix}", label, *more)

    # --- values ---

    def value(self, layer: type[Packet], name: str) -> str:
        """Lua for the value of field ``name``, seen from ``layer``."""
        if layer in self.messages or name not in [each.name for each in fields_of(layer)]:
            return f"reader.values.{name}"
        return variable(name)

    def condition(self, layer: type[Packet], each: AnyField) -> str | None:
        """Lua for when a field is on the wire; None where it always is."""
        try:
            when = condition(each, layer)
        except TypeError as error:
            raise CannotDescribeError(str(error)) from None
        return None if when is None else self.comparison(layer, when)

    def comparison(self, layer: type[Packet], when: When) -> str:
        """Lua for a condition."""
        operator = "~=" if type(when) is Unless else "=="
        return f"{self.value(layer, when.field)} {operator} {int(when.equals)}"

    def length(self, layer: type[Packet], each: StrLenField) -> str:
        """Lua for the length in bytes of a text or of packed data."""
        if isinstance(each.length_from, str):
            return self.value(layer, each.length_from)
        for other in fields_of(layer):
            if type(other) is FieldLenField and other.length_of == each.name:
                return self.value(layer, other.name)
        raise CannotDescribeError(f"{layer.__name__}.{each.name}: no field says how long it is")

    def count(self, layer: type[Packet], each: PacketListField) -> str:
        """Lua for the number of items of a list that stock fields make."""
        for other in fields_of(layer):
            if type(other) is FieldLenField and other.count_of == each.name:
                return self.value(layer, other.name)
        raise CannotDescribeError(f"{layer.__name__}.{each.name}: no field says how many there are")


def _protofield(form: str, name: str, label: str, *more: str) -> str:
    return f"ProtoField.{form}({', '.join([quoted(name), quoted(label), *more])})"
