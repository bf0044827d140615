# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a Wireshark dissector in Lua from Scapy layers.

The generator knows classes of fields, not a protocol: for each, how Wireshark declares it and which Lua reads it.
It walks ``fields_desc`` from the first layer of a message, through the payloads that are bound to it and through lists,
and writes the layers innermost first. Stock fields of Scapy are read as far as their parameters say what they are: a
length or a count must be a ``FieldLenField`` that names what it measures, since a lambda cannot be read by a program.

Each layer becomes straight-line code: neighbours of fixed size are checked for room once, then read. A layer of items
in a list gets two readers, see the top of runtime.lua. What no field says (checks over many items, who answers whom) is
hand-written Lua, named in the Description and embedded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from scapy.fields import (
    BitField,
    ConditionalField,
    EnumField,
    FieldLenField,
    IP6Field,
    IPField,
    PacketListField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet

from scapy_chitchat.described.fields import (
    AddressField,
    IPVersionField,
    KnownByteField,
    MagicField,
    PackedField,
    StringField,
    TagField,
    Unless,
    When,
    inner,
)
from scapy_chitchat.described.lists import BlocksField, ItemsField
from scapy_chitchat.described.lua_source import LuaSource, literal, quoted, snake_case, title, variable


class CannotDescribeError(TypeError):
    """A field that does not say by its parameters what it is."""


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
    command: str
    """What writes the file."""
    parts: Path
    """The folder of the hand-written Lua."""
    codes: Mapping[str, tuple[str, str]]
    """Severity and text of each finding."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """What the hand-written parts ask for, by name."""
    checks: Mapping[type[Packet], Sequence[str]] = field(default_factory=dict)
    """Layers of items for which check_<layer>() is called: with the values of these fields for text, else with where
    they start."""
    labels: Mapping[type[Packet], Sequence[str]] = field(default_factory=dict)
    """What an item's line in the tree says: these fields."""
    extra_fields: Sequence[tuple[str, str]] = ()
    """Fields that the hand-written parts show: name, and the Lua that declares it, with %s for the filter name."""
    before: Sequence[str] = ()
    """Hand-written parts that stand before the layers."""
    after: Sequence[str] = ()
    """Hand-written parts that stand behind the layers."""
    finish: Sequence[str] = ()
    """Lua that runs when a message has been read."""


_LEFTOVERS = {"malformed_load": "Bytes that cannot be read", "trailing_data": "Bytes behind the message"}


def fields_of(layer: type[Packet]) -> list[Any]:
    """The fields of a layer without their conditions."""
    return [inner(each) for each in layer.fields_desc]


def is_list(each: Any) -> bool:
    """Whether a field is a list of packets that stand in the message or in a stream."""
    return isinstance(each, PacketListField)


HOLDERS = (PacketListField, BlocksField)
"""Fields that hold packets."""


def item_layers(each: Any) -> Sequence[type[Packet]]:
    """The layers of the items of a list."""
    if isinstance(each, BlocksField):
        return (each.block,)
    if isinstance(each, ItemsField):
        return each.layers
    if not (isinstance(each.cls, type) and issubclass(each.cls, Packet)):
        raise CannotDescribeError(f"{each.name}: a list whose items are not of one layer")
    return (each.cls,)


def is_number(each: Any) -> bool:
    """Whether a field is an unsigned number of 1, 2, 4 or 8 bytes."""
    return isinstance(each.fmt, str) and each.fmt[-1:] in set("BHIQ") and not isinstance(each, BitField)


def is_little_endian(each: Any) -> bool:
    """The byte order of a number."""
    return bool(each.fmt.startswith("<")) or each.sz == 1


def fixed_size(each: Any) -> int:
    """The bytes of a field that always has as many."""
    size: int = cast(Any, each).length_from(None) if isinstance(each, StrFixedLenField) else each.sz
    return size


def names_of(each: Any) -> dict[int, str]:
    """What the values of an enum's field are called."""
    return dict(each.i2s)


def payloads(layer: type[Packet]) -> dict[int, type[Packet]]:
    """The layers bound behind this one, by the value of the one field that tells them apart."""
    return {next(iter(when.values())): bound for when, bound in layer.payload_guess if len(when) == 1}


def payload_field(layer: type[Packet]) -> str | None:
    """The name of that field."""
    names = {name for when, _ in layer.payload_guess for name in when}
    if len(names) > 1:
        raise CannotDescribeError(f"{layer.__name__}: payloads told apart by more than one field: {sorted(names)}")
    return next(iter(names), None)


class Generator:
    """Writes one dissector."""

    def __init__(self, description: Description) -> None:
        self.of = description
        self.out = LuaSource()
        bodies = payloads(description.root).values()
        self.messages = [description.root, *dict.fromkeys(bodies)]
        self.items = list(dict.fromkeys(self._find_items(self.messages)))
        self.has_streams = any(isinstance(each, BlocksField) for layer in self.messages for each in fields_of(layer))
        self.listed: set[str] = set()
        self.names: dict[str, dict[int, str]] = {}

    def _find_items(self, layers: Sequence[type[Packet]]) -> Iterator[type[Packet]]:
        """Layers of items, innermost first."""
        for layer in layers:
            for each in fields_of(layer):
                if isinstance(each, HOLDERS):
                    yield from self._find_items(item_layers(each))
                    yield from item_layers(each)

    def text(self) -> str:
        """The whole file."""
        self._header()
        self._declare()
        if self.has_streams:
            self._part("zstd", "zstd", wrapped=True)
        self._part("runtime", "Reading")
        if self.has_streams:
            self._part("stream", "Compressed streams")
        for part in self.of.before:
            self._part(part, part.capitalize())
        self.out.section("Layers, innermost first")
        self.out.add("local KINDS, LISTS, PAYLOADS = {}, {}, {}")
        for layer in self.items:
            self._item(layer)
        for layer in [*self.messages[1:], self.of.root]:
            self._message(layer)
        self._heuristic()
        for part in self.of.after:
            self._part(part, part.capitalize())
        self._finish()
        self._part("dissector", "Registration")
        return self.out.text()

    # --- sections ---

    def _header(self) -> None:
        from scapy_chitchat import __version__

        add = self.out.add
        add("-- SPDX-License-Identifier: GPL-2.0-or-later", "--")
        add(f"-- {self.of.title}: a dissector for Wireshark and tshark, 4.0 and newer.", "--")
        add(f"-- Written by `{self.of.command}` of scapy-chitchat {__version__}.")
        add("-- Do not edit: change the Scapy layers, or the hand-written parts, and write it again.")

    def _part(self, name: str, headline: str, *, wrapped: bool = False) -> None:
        """A hand-written part, without the licence that this file has already."""
        self.out.section(f"{headline} ({name}.lua, hand-written)")
        lines = (self.of.parts / f"{name}.lua").read_text(encoding="utf-8").split("\n")
        body = [line for line in lines if "SPDX-License-Identifier" not in line]
        while body and body[0] in ("", "--"):
            del body[0]
        while body and not body[-1]:
            del body[-1]
        if wrapped:
            with self.out.block(f"local {name} = (function()", "end)()"):
                self.out.add(*body)
        else:
            self.out.add(*body)

    def _declare(self) -> None:
        """The protocol, its values' names, fields and findings."""
        self.out.section(f"The protocol's fields (from the Scapy layers behind {self.of.root.__name__})")
        self.out.add(f"local PROTOCOL = Proto({quoted(self.of.name)}, {quoted(self.of.title)})")
        self.out.add(f"local HAS_STREAMS = {literal(self.has_streams)}")
        self.out.add(f"local DEFAULT_PORTS = {quoted(self.of.ports)}")
        for name, value in self.of.constants.items():
            self.out.add(f"local {name} = {literal(value)}")
        fields = dict(self._declarations())
        self.out.add("", "-- What values are called.")
        with self.out.block("local NAMES = {", "}"):
            for name, values in self.names.items():
                self.out.add(f"{name} = {literal(values)},")
        self.out.add("")
        with self.out.block("local F = {", "}"):
            for name, declaration in fields.items():
                self.out.add(f"{name} = {declaration},")
        self.out.add("PROTOCOL.fields = F")
        self._declare_findings()

    def _declare_findings(self) -> None:
        add = self.out.add
        add("", "-- What there is to say of a message: the same findings, by the same names, as everywhere else.")
        add("local EXPERTS = {}")
        with self.out.block("local function finding(code, severity, text)"):
            add(f'local name = "{self.of.abbreviation}." .. string.gsub(code, "-", "_")')
            add('local is_error = severity == "ERROR"')
            add("local group = is_error and expert.group.MALFORMED or expert.group.PROTOCOL")
            add("local registered = ProtoExpert.new(name, text, group, expert.severity[severity])")
            add("EXPERTS[code] = { expert = registered, text = text, is_error = is_error }")
        for code, (severity, text) in self.of.codes.items():
            name = {"warning": "WARN"}.get(severity, severity.upper())
            add(f"finding({quoted(code)}, {quoted(name)}, {quoted(text)})")
        with self.out.block("PROTOCOL.experts = (function()", "end)()"):
            add("local registered = {}")
            with self.out.block("for _, each in pairs(EXPERTS) do"):
                add("registered[#registered + 1] = each.expert")
            add("return registered")

    # --- declarations ---

    def _declarations(self) -> Iterator[tuple[str, str]]:
        """Name in F and declaration of every field; those of the messages first."""
        declared: dict[str, str] = {}
        for key, declaration in self._all_declarations():
            if declared.setdefault(key, declaration) != declaration:
                raise CannotDescribeError(f"{key}: two fields of this name that are not alike")
            yield key, declaration

    def _all_declarations(self) -> Iterator[tuple[str, str]]:
        for layer in self.messages:
            for each in fields_of(layer):
                yield from self._declare_field(layer, each)
        for layer in self.items:
            yield self.key(layer), self._protofield("none", self.filter_name(layer), layer.__name__)
            for each in fields_of(layer):
                yield from self._declare_field(layer, each)
        for name, form in (("malformed_load", "bytes"), ("trailing_data", "bytes")):
            word = name.replace("malformed_", "malformed.")
            yield name, self._protofield(form, f"{self.of.abbreviation}.{word}", _LEFTOVERS[name])
        for name, declaration in self.of.extra_fields:
            yield name, declaration % quoted(f"{self.of.abbreviation}.{name}")

    def _declare_field(self, layer: type[Packet], each: Any) -> Iterator[tuple[str, str]]:
        key, name, label = self.key(layer, each.name), self.filter_name(layer, each.name), title(each.name)
        if isinstance(each, AddressField):
            yield key, self._protofield("ipv4", name, label)
            yield f"{key}v6", self._protofield("ipv6", f"{name}v6", label)
        elif isinstance(each, HOLDERS):
            yield key, self._protofield("none", name, label)
        elif isinstance(each, EnumField):
            values = names_of(each)
            known = next((known for known, others in self.names.items() if others == values), key)
            self.names[known] = values
            yield key, self._protofield(f"uint{each.sz * 8}", name, label, "base.DEC", f"NAMES.{known}")
        elif isinstance(each, MagicField):
            yield key, self._protofield(f"uint{each.sz * 8}", name, label, "base.HEX")
        elif isinstance(each, IPField):
            yield key, self._protofield("ipv4", name, label)
        elif isinstance(each, IP6Field):
            yield key, self._protofield("ipv6", name, label)
        elif isinstance(each, (PackedField, StrFixedLenField)):
            yield key, self._protofield("bytes", name, label)
        elif isinstance(each, StrLenField):
            yield key, self._protofield("string", name, label)
        elif is_number(each):
            yield key, self._protofield(f"uint{each.sz * 8}", name, label)
        else:
            raise CannotDescribeError(f"{layer.__name__}.{each.name}: no rule for a {type(each).__name__}")

    @staticmethod
    def _protofield(form: str, name: str, label: str, *more: str) -> str:
        return f"ProtoField.{form}({', '.join([quoted(name), quoted(label), *more])})"

    def filter_name(self, layer: type[Packet], name: str = "") -> str:
        """What a user filters by."""
        between = [] if layer in self.messages else [snake_case(layer.__name__)]
        return ".".join([self.of.abbreviation, *between, *([name] if name else [])])

    def key(self, layer: type[Packet], name: str = "") -> str:
        """The name of a field, or of an item's layer, in F."""
        return self.filter_name(layer, name).partition(".")[2].replace(".", "_")

    # --- the careful reader of a layer ---

    def _value(self, layer: type[Packet], name: str) -> str:
        """Lua for the value of field ``name``, seen from ``layer``."""
        if layer in self.messages or name not in [each.name for each in fields_of(layer)]:
            return f"reader.values.{name}"
        return variable(name)

    def _condition(self, layer: type[Packet], when: Any) -> str:
        if not isinstance(when, When):
            raise CannotDescribeError(f"{layer.__name__}: a condition that is no When")
        operator = "~=" if isinstance(when, Unless) else "=="
        return f"{self._value(layer, when.field)} {operator} {int(when.equals)}"

    def _length(self, layer: type[Packet], each: Any) -> str:
        """Lua for the length in bytes of a text or of packed data."""
        if isinstance(each, StrFixedLenField):
            return str(fixed_size(each))
        if isinstance(each.length_from, str):
            return self._value(layer, each.length_from)
        for other in fields_of(layer):
            if isinstance(other, FieldLenField) and other.length_of == each.name:
                return self._value(layer, other.name)
        raise CannotDescribeError(f"{layer.__name__}.{each.name}: no field says how long it is")

    def _count(self, layer: type[Packet], each: Any) -> str:
        """Lua for the number of items of a list."""
        name = getattr(each, "count_from", None)
        if isinstance(name, str):
            return self._value(layer, name)
        for other in fields_of(layer):
            if isinstance(other, FieldLenField) and other.count_of == each.name:
                return self._value(layer, other.name)
        if isinstance(each, ItemsField):
            return "nil"
        raise CannotDescribeError(f"{layer.__name__}.{each.name}: no field says how many there are")

    def _take(self, layer: type[Packet], each: Any) -> str:
        """Lua that reads one field carefully, shows it and gives its value."""
        start = f"reader, F.{self.key(layer, each.name)}, {quoted(each.name)}"
        if isinstance(each, MagicField):
            numbers = f"{each.sz}, {each.default}, {each.room}"
            return f"take_magic({start}, {numbers}, {quoted(each.short_as)}, {quoted(each.refused_as)})"
        if isinstance(each, KnownByteField):
            known = self._names_of(each)
            codes = f"{quoted(each.refused_as)}, {quoted(each.short_as)}"
            return f"take_known_byte({start}, {known}, {codes}, {literal(each.breaks)})"
        if isinstance(each, IPVersionField):
            return f"take_ip_version({start}, {quoted(each.refused_as)})"
        if isinstance(each, AddressField):
            key = self.key(layer, each.name)
            version = self._value(layer, each.version_from)
            return f"take_address(reader, F.{key}, F.{key}v6, {quoted(each.name)}, {version})"
        if isinstance(each, (IPField, IP6Field)):
            return f"take_bytes({start}, {16 if isinstance(each, IP6Field) else 4})"
        if isinstance(each, PackedField):
            return f'take_bytes({start}, {self._length(layer, each)}, "block-short")'
        if isinstance(each, StrFixedLenField):
            return f"take_bytes({start}, {self._length(layer, each)})"
        if isinstance(each, StringField):
            return f'take_text({start}, {self._length(layer, each)}, "string-short", true)'
        if isinstance(each, StrLenField):
            return f'take_text({start}, {self._length(layer, each)}, "field-short", false)'
        order = "le" if is_little_endian(each) else "be"
        return f"take_{order}({start}, {each.sz})"

    def _names_of(self, each: Any) -> str:
        return next(f"NAMES.{name}" for name, values in self.names.items() if values == names_of(each))

    def _used(self, layer: type[Packet]) -> set[str]:
        """Fields of an item's layer whose values other fields of it need."""
        code = " ".join(
            [self._take(layer, each) for each in fields_of(layer) if not isinstance(each, HOLDERS)]
            + [self._count(layer, each) for each in fields_of(layer) if is_list(each)]
            + [self._condition(layer, each.cond) for each in layer.fields_desc if isinstance(each, ConditionalField)]
        )
        words = set(re.findall(r"\w+", re.sub(r'"[^"]*"|F\.\w+|NAMES\.\w+', "", code)))
        return {each.name for each in fields_of(layer) if variable(each.name) in words}

    def _careful(self, layer: type[Packet]) -> None:
        """The statements that read a layer field by field."""
        used = self._used(layer)
        for each in layer.fields_desc:
            bare = inner(each)
            statement = self._statement(layer, bare, bare.name in used, isinstance(each, ConditionalField))
            if isinstance(each, ConditionalField):
                if layer in self.items and (bare.name in used or isinstance(bare, PackedField)):
                    self.out.add(f"local {variable(bare.name)}")
                with self.out.block(f"if {self._condition(layer, each.cond)} then"):
                    self.out.add(statement)
            elif isinstance(bare, ItemsField) and layer in self.messages:
                self._items_or_blocks(layer, bare)
            else:
                self.out.add(statement)

    def _statement(self, layer: type[Packet], each: Any, used: bool, conditional: bool) -> str:
        if isinstance(each, BlocksField):
            return f"held_{each.holds} = read_blocks(reader, LISTS.{self.key(layer, each.name)})"
        if is_list(each):
            return f"read_items(reader, LISTS.{self.key(layer, each.name)}, {self._count(layer, each)})"
        taken = self._take(layer, each)
        if layer in self.messages:
            return f"reader.values.{each.name} = {taken}"
        if used or isinstance(each, PackedField):
            return f"{'' if conditional else 'local '}{variable(each.name)} = {taken}"
        return taken

    def _items_or_blocks(self, layer: type[Packet], each: ItemsField) -> None:
        """A list that stands in blocks where there are any, else here."""
        blocks = [field for field in layer.fields_desc if inner(field).name == each.blocks_from]
        read_held = f"read_held(reader, held_{each.name})"
        read_here = f"read_items(reader, LISTS.{self.key(layer, each.name)}, {self._count(layer, each)})"
        if not blocks:
            self.out.add(read_here)
        elif not isinstance(blocks[0], ConditionalField):
            self.out.add(read_held)
        else:
            with self.out.block(f"if held_{each.name} then"):
                self.out.add(read_held)
                self.out.depth -= 1
                self.out.add("else")
                self.out.depth += 1
                self.out.add(read_here)

    # --- layers ---

    def _layer_headline(self, layer: type[Packet]) -> None:
        self.out.section(layer.__name__ + (f": {_first_line(layer)}" if layer.__doc__ else ""))

    def _item(self, layer: type[Packet]) -> None:
        """An item's readers, and its kind."""
        self._layer_headline(layer)
        kind = self.key(layer)
        self._lists(layer)
        with self.out.block(f"local function read_{kind}_carefully(reader)"):
            self._careful(layer)
            self._block_result(layer)
        quick = "nil"
        if self._has_quick_reader(layer):
            self.out.add("")
            QuickReader(self, layer).write()
            quick = f"read_{kind}"
        self.out.add("")
        with self.out.block(f"KINDS.{kind} = {{", "}"):
            self.out.add(f"name = {quoted(layer.__name__)}, field = F.{kind}, leaves = {len(layer.fields_desc) + 1},")
            self.out.add(f"quick = {quick}, careful = read_{kind}_carefully,")

    def _block_result(self, layer: type[Packet]) -> None:
        """What a reader of streams wants to know of a block: whether it is the last, where its data is, how packed."""
        for message in self.messages:
            for each in fields_of(message):
                if isinstance(each, BlocksField) and each.block is layer:
                    packed = next(other for other in fields_of(layer) if isinstance(other, PackedField))
                    is_last, is_zstd = self._condition(layer, each.last), self._condition(layer, packed.zstd)
                    length = self._length(layer, packed)
                    self.out.add(f"return {is_last}, {variable(packed.name)}, {length}, {is_zstd}")
                    return

    def _has_quick_reader(self, layer: type[Packet]) -> bool:
        odd = (ConditionalField, PackedField, *HOLDERS)
        return not any(isinstance(each, odd) for each in layer.fields_desc)

    def _lists(self, layer: type[Packet]) -> None:
        """The descriptions of the lists in a layer."""
        for each in sorted(fields_of(layer), key=lambda each: isinstance(each, BlocksField)):
            if not isinstance(each, HOLDERS) or self.key(layer, each.name) in self.listed:
                continue
            key = self.key(layer, each.name)
            self.listed.add(key)
            inside = [name for item in item_layers(each) for name in self._keys_in(item)]
            with self.out.block(f"LISTS.{key} = {{", "}"):
                self.out.add(f"name = {quoted(each.name)}, label = {quoted(title(each.name))}, field = F.{key},")
                self.out.add(self._kinds_of(layer, each) + ",")
                with self.out.block("fields = {", "},"):
                    self.out.wrapped([f"F.{name}" for name in [key, *inside]])
            self.out.add("")

    def _kinds_of(self, layer: type[Packet], each: Any) -> str:
        kinds = [f"KINDS.{self.key(item)}" for item in item_layers(each)]
        if isinstance(each, BlocksField):
            return f"block = {kinds[0]}, holds = LISTS.{self.key(layer, each.holds)}"
        if isinstance(each, ItemsField) and each.by_tag:
            tags = ", ".join(f"[{int(cast(int, tag))}] = KINDS.{self.key(item)}" for tag, item in each.by_tag.items())
            return f"by_tag = {{ {tags} }}, refused_as = {quoted(each.refused_as)}"
        return f"only = {kinds[0]}"

    def _keys_in(self, layer: type[Packet]) -> Iterator[str]:
        """All fields that are shown within an item."""
        yield self.key(layer)
        for each in fields_of(layer):
            for key, _ in self._declare_field(layer, each):
                yield key
            if isinstance(each, HOLDERS):
                for item in item_layers(each):
                    yield from self._keys_in(item)

    def _message(self, layer: type[Packet]) -> None:
        """The reader of a layer that is there once in a message."""
        self._layer_headline(layer)
        self._lists(layer)
        with self.out.block(f"local function read_{snake_case(layer.__name__)}(reader)"):
            held = [f"held_{each.holds}" for each in fields_of(layer) if isinstance(each, BlocksField)]
            if held:
                self.out.add(f"local {', '.join(held)}")
            self._careful(layer)
            if layer is self.of.root and payloads(layer):
                self.out.add(f"local read_payload = PAYLOADS[reader.values.{payload_field(layer)}]")
                self.out.add("if reader.message.trouble then", "  show_rest(reader)")
                with self.out.block("elseif read_payload then"):
                    self.out.add("read_payload(reader)")
        if layer is not self.of.root:
            for value, bound in payloads(self.of.root).items():
                if bound is layer:
                    self.out.add(f"PAYLOADS[{int(value)}] = read_{snake_case(layer.__name__)}")

    def _heuristic(self) -> None:
        """By its header a message is known: where it starts with a magic number."""
        fields = fields_of(self.of.root)
        if not isinstance(fields[0], MagicField):
            self.out.add("", "local looks_like_message = nil -- there is nothing that a message is known by")
            return
        self.out.section("What a message is known by")
        size = sum(each.sz for each in fields)
        with self.out.block("local function looks_like_message(tvb)"):
            with self.out.block(f"if tvb:len() < {size} then"):
                self.out.add("return false")
            self.out.add(f"local header = tvb:raw(0, {size})")
            magic = struct.pack(fields[0].fmt, fields[0].default)
            tests = [f"sub(header, 1, {len(magic)}) == {quoted_bytes(magic)}"]
            at = len(magic)
            for each in fields[1:]:
                if isinstance(each, KnownByteField):
                    tests.append(f"{self._names_of(each)}[byte(header, {at + 1})]")
                at += each.sz
            self.out.add(f"return {' and '.join(tests)} and true or false")

    def _finish(self) -> None:
        self.out.section("A whole message")
        self.out.add(f"local READ = read_{snake_case(self.of.root.__name__)}", "")
        with self.out.block("local function finish(message)"):
            self.out.add(f"message.pinfo.cols.protocol = {quoted(self.of.name)}")
            self.out.add(*self.of.finish)


class QuickReader:
    """Writes the function that reads one item in one go, or gives nil without having shown anything."""

    def __init__(self, generator: Generator, layer: type[Packet]) -> None:
        self.generator = generator
        self.layer = layer
        self.out = generator.out
        self.base, self.offset = "at", 0
        self.checked = False
        self.places: dict[str, str] = {}
        self.sizes: dict[str, str] = {}
        self.reads: list[str] = []

    def write(self) -> None:
        """The whole function."""
        name = self.generator.key(self.layer)
        with self.out.block(f"local function read_{name}(message, stream, bytes, at, stop, tvb, tree)"):
            self._bounds_and_values()
            self.out.add("local item")
            with self.out.block("if tree then"):
                self._show()
            self._check()
            self.out.add(f"return {self.end}")

    def _here(self) -> str:
        return f"{self.base} + {self.offset}" if self.offset else self.base

    def _room(self) -> None:
        """The bounds check of the run so far, then what is read from it."""
        with self.out.block(f"if {self._here()} > stop then"):
            self.out.add("return nil")
        self.out.add(*self.reads)
        self.reads = []

    def _start_anew(self, name: str, end: str) -> None:
        """Behind something of variable size: its end is the base of what follows."""
        self.out.add(f"local {name}_end = {end}")
        self.base, self.offset = f"{name}_end", 0

    def _bounds_and_values(self) -> None:
        fields = fields_of(self.layer)
        used = self.generator._used(self.layer)
        for each in fields:
            name = variable(each.name)
            if isinstance(each, StrLenField) and not isinstance(each, StrFixedLenField):
                self._text(each, name)
            elif isinstance(each, AddressField):
                self._address(each, name)
            else:
                self._number(each, name, each.name in used)
        self._room()
        self.end = self._here()

    def _number(self, each: Any, name: str, used: bool) -> None:
        size = fixed_size(each)
        place = self._here()
        self.places[each.name], self.sizes[each.name] = place, str(size)
        self.offset += size
        if isinstance(each, KnownByteField) and not isinstance(each, TagField):
            known = self.generator._names_of(each)
            self.reads.append(f"if not {known}[byte(bytes, {_one_on(place)})] then")
            self.reads += ["  return nil", "end"]
        elif used and is_number(each) and size <= 4:
            order = "little" if is_little_endian(each) else "big"
            if size == 1:
                self.reads.append(f"local {name} = byte(bytes, {_one_on(place)})")
            elif size == 2:
                high, low = ("high", "low") if order == "big" else ("low", "high")
                self.reads.append(
                    f"local {high}_{name}, {low}_{name} = byte(bytes, {_one_on(place)}, {_one_on(place, 2)})"
                )
                self.reads.append(f"local {name} = low_{name} + high_{name} * 256")
            else:
                self.reads.append(f"local {name} = {order}_endian(bytes, {place}, {size})")

    def _text(self, each: Any, name: str) -> None:
        self._room()
        start = self._here()
        length = self.generator._length(self.layer, each)
        self._start_anew(name, f"{start} + {length}")
        self.places[each.name], self.sizes[each.name] = start, length
        self.reads.append(f"local {name} = sub(bytes, {_one_on(start)}, {name}_end)")
        self.reads.append(f"local odd_{name} = find({name}, UNPRINTABLE)")
        if isinstance(each, StringField):
            self.reads.append(f"if odd_{name} and utf8_error({name}) then")
            self.reads += ["  return nil", "end"]

    def _address(self, each: AddressField, name: str) -> None:
        self._room()
        start = self._here()
        version = variable(each.version_from)
        self.out.add(f"local {name}_size = ADDRESS_SIZES[{version}]")
        with self.out.block(f"if not {name}_size then"):
            self.out.add("return nil")
        self._start_anew(name, f"{start} + {name}_size")
        self.places[each.name], self.sizes[each.name] = start, f"{name}_size"

    def _show(self) -> None:
        add = self.out.add
        kind = self.generator.key(self.layer)
        add(f"item = add(tree, F.{kind}, tvb(at, {_less_at(self.end)}))")
        with self.out.block("if message.visible then"):
            self._add_label()
        for each in fields_of(self.layer):
            key = self.generator.key(self.layer, each.name)
            span = f"tvb({self.places[each.name]}, {self.sizes[each.name]})"
            if isinstance(each, AddressField):
                version = variable(each.version_from)
                add(f"add(item, {version} == 4 and F.{key} or F.{key}v6, {span})")
            elif isinstance(each, StrLenField) and not isinstance(each, StrFixedLenField):
                name = variable(each.name)
                with self.out.block(f"if odd_{name} then"):
                    add(f"add_text(item, F.{key}, {span}, {name})")
                    self.out.depth -= 1
                    add("else")
                    self.out.depth += 1
                    add(f"add(item, F.{key}, {span}, {name})")
            elif is_number(each) and is_little_endian(each) and each.sz > 1:
                add(f"add_le(item, F.{key}, {span})")
            else:
                add(f"add(item, F.{key}, {span})")

    def _add_label(self) -> None:
        """What an item's line in the tree says."""
        text, parts = self.layer.__name__, []
        for index, name in enumerate(self.generator.of.labels.get(self.layer, ())):
            each = next(each for each in fields_of(self.layer) if each.name == name)
            text += ", " if index else ": "
            if isinstance(each, StrLenField):
                of = variable(name)
                self.out.add(f"local {of}_label = (odd_{of} or #{of} > LONGEST_LABEL) and printable({of}) or {of}")
                parts += [quoted(text), f"{of}_label"]
            else:
                parts += [quoted(f"{text}{title(name).lower()} "), f"decimal(bytes, {self.places[name]})"]
            text = ""
        self.out.add(f"set_text(item, {' .. '.join(parts or [quoted(text)])})")

    def _check(self) -> None:
        names = self.generator.of.checks.get(self.layer)
        if names is None:
            return
        arguments = []
        for name in names:
            each = next(each for each in fields_of(self.layer) if each.name == name)
            arguments.append(variable(name) if isinstance(each, StringField) else self.places[name])
        kind = self.generator.key(self.layer)
        self.out.add(f"check_{kind}(message, stream, bytes, at, item, {', '.join(arguments)})")


def _one_on(place: str, more: int = 1) -> str:
    """An offset as an index into a Lua string, which counts from 1."""
    base, _, offset = place.partition(" + ")
    return f"{base} + {int(offset or 0) + more}" if not offset or offset.isdigit() else f"{place} + {more}"


def _less_at(place: str) -> str:
    """The distance of a place from the start of its item."""
    return place.removeprefix("at + ") if place.startswith("at + ") else f"{place} - at"


def _first_line(layer: type[Packet]) -> str:
    return (layer.__doc__ or "").strip().split("\n")[0]


def quoted_bytes(data: bytes) -> str:
    """Bytes as a Lua string."""
    return '"' + "".join(f"\\{value:03d}" for value in data) + '"'


def generate(description: Description) -> str:
    """The text of the dissector."""
    return Generator(description).text()
