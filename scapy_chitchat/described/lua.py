# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a Wireshark dissector in Lua from Scapy layers.

The generator knows kinds of fields, not a protocol: for each, how Wireshark declares it and which Lua reads it
(lua_kinds.py). It walks ``fields_desc`` from the first layer of a message, through the payloads that are bound to it
and through lists, and writes the layers innermost first.

Each layer becomes straight-line code. A layer of items in a list gets two readers, see the top of runtime.lua. What no
field says (checks over many items, who answers whom) is hand-written Lua, named in the Description and embedded.
"""

from __future__ import annotations

import struct

from scapy.packet import Packet

from scapy_chitchat.described.conditions import condition
from scapy_chitchat.described.fields import KnownByteField, MagicField
from scapy_chitchat.described.kinds import place_of
from scapy_chitchat.described.lua_careful import CarefulReaders
from scapy_chitchat.described.lua_kinds import LUA, CannotDescribeError
from scapy_chitchat.described.lua_model import Description, Model, fields_of, payload_field, payloads
from scapy_chitchat.described.lua_quick import QuickReader
from scapy_chitchat.described.lua_source import LuaSource, literal, quoted, quoted_bytes, snake_case


class Generator:
    """Writes one dissector."""

    def __init__(self, description: Description) -> None:
        self.of = description
        self.out = LuaSource()
        self.model = Model(description)
        self.careful = CarefulReaders(self.model, self.out)

    def text(self) -> str:
        """The whole file."""
        self._header()
        self._declare()
        for part in self.of.libraries:
            self._part(part, part, wrapped=True)
        self._part("runtime", "Reading")
        if self.model.has_streams:
            self._part("stream", "Compressed streams")
        for part in self.of.before:
            self._part(part, part.capitalize())
        self.out.section("Layers, innermost first")
        self.out.add("local KINDS, LISTS, PAYLOADS = {}, {}, {}")
        for layer in self.model.items:
            self._item(layer)
        for layer in [*self.model.messages[1:], self.of.root]:
            self._message(layer)
        self._heuristic()
        for part in self.of.after:
            self._part(part, part.capitalize())
        self._finish()
        self._part("dissector", "Registration")
        self._refuse_unsaid()
        return self.out.text()

    def _refuse_unsaid(self) -> None:
        """Raise CannotDescribeError for what the layers want and the description does not say, or the other way."""
        for layer, each in self.model.all_fields():
            for code in LUA.of(each, layer).codes(each):
                if code not in self.of.codes:
                    raise CannotDescribeError(f"{place_of(each, layer)}: there is no finding {code!r}")
        for layer in (*self.of.checks, *self.of.labels):
            if layer not in self.model.items:
                raise CannotDescribeError(f"{layer.__name__}: the description speaks of it, and no list has it")
        for layer, each in self.model.all_fields():
            items = [] if LUA.of(each, layer).blocks(each) else LUA.of(each, layer).layers(each)
            unchecked = [item.__name__ for item in items if item not in self.of.checks]
            if unchecked and len(unchecked) < len(items):
                raise CannotDescribeError(f"{place_of(each, layer)}: checks are named, but none for {unchecked[0]}")

    # --- sections ---

    def _header(self) -> None:
        add = self.out.add
        add("-- SPDX-License-Identifier: GPL-2.0-or-later", "--")
        add(f"-- {self.of.title}: a dissector for Wireshark and tshark, 4.0 and newer.", "--")
        add(f"-- Written by {self.of.written_by}.")
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
        self.out.add(f"local HAS_STREAMS = {literal(self.model.has_streams)}")
        self.out.add(f"local DEFAULT_PORTS = {quoted(self.of.ports)}")
        for name, value in self.of.constants.items():
            self.out.add(f"local {name} = {literal(value)}")
        fields = self.model.declarations()
        self.out.add("", "-- What values are called.")
        with self.out.block("local NAMES = {", "}"):
            for name, values in self.model.names.items():
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
            add("EXPERTS[code] = { expert = registered, is_error = is_error }")
        for code, (severity, text) in self.of.codes.items():
            name = {"warning": "WARN"}.get(severity, severity.upper())
            add(f"finding({quoted(code)}, {quoted(name)}, {quoted(text)})")
        with self.out.block("PROTOCOL.experts = (function()", "end)()"):
            add("local registered = {}")
            with self.out.block("for _, each in pairs(EXPERTS) do"):
                add("registered[#registered + 1] = each.expert")
            add("return registered")

    # --- layers ---

    def _layer_headline(self, layer: type[Packet]) -> None:
        self.out.section(layer.__name__ + (f": {_first_line(layer)}" if layer.__doc__ else ""))

    def _item(self, layer: type[Packet]) -> None:
        """An item's readers, and its kind."""
        self._layer_headline(layer)
        kind = self.model.key(layer)
        self.careful.lists(layer)
        with self.out.block(f"local function read_{kind}_carefully(reader)"):
            self.careful.statements(layer)
            self.careful.block_result(layer)
        quick = "nil"
        if self._has_quick_reader(layer):
            self.out.add("")
            QuickReader(self.model, self.out, layer, self.careful.used(layer)).write()
            quick = f"read_{kind}"
        self.out.add("")
        with self.out.block(f"KINDS.{kind} = {{", "}"):
            self.out.add(f"name = {quoted(layer.__name__)}, field = F.{kind}, leaves = {len(layer.fields_desc) + 1},")
            self.out.add(f"quick = {quick}, careful = read_{kind}_carefully,")

    def _has_quick_reader(self, layer: type[Packet]) -> bool:
        """Whether an item is one straight run of values. Raises CannotDescribeError where its check would get lost."""
        odd = next(
            (
                each
                for each, bare in zip(layer.fields_desc, fields_of(layer), strict=True)
                if condition(each, layer) or not LUA.of(bare, layer).in_items
            ),
            None,
        )
        if odd is not None and (layer in self.of.checks or layer in self.of.labels):
            reason = "an item with such a field has no quick reader, which alone checks and labels items"
            raise CannotDescribeError(f"{layer.__name__}.{odd.name}: {reason}")
        return odd is None

    def _message(self, layer: type[Packet]) -> None:
        """The reader of a layer that is there once in a message."""
        self._layer_headline(layer)
        self.careful.lists(layer)
        with self.out.block(f"local function read_{snake_case(layer.__name__)}(reader)"):
            blocks = [LUA.of(each, layer).blocks(each) for each in fields_of(layer)]
            held = [f"held_{each.holds}" for each in blocks if each]
            if held:
                self.out.add(f"local {', '.join(held)}")
            self.careful.statements(layer)
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
        if type(fields[0]) is not MagicField:
            self.out.add("", "-- There is nothing that a message is known by.")
            self.out.add("local looks_like_message, has_magic")
            return
        self.out.section("What a message is known by")
        size = sum(each.sz for each in fields)
        magic = struct.pack(fields[0].fmt, fields[0].default)
        with self.out.block("local function has_magic(tvb)"):
            self.out.add(f"return tvb:len() >= {len(magic)} and tvb:raw(0, {len(magic)}) == {quoted_bytes(magic)}")
        self.out.add("")
        with self.out.block("local function looks_like_message(tvb)"):
            with self.out.block(f"if tvb:len() < {size} then"):
                self.out.add("return false")
            self.out.add(f"local header = tvb:raw(0, {size})")
            tests = [f"sub(header, 1, {len(magic)}) == {quoted_bytes(magic)}"]
            at = len(magic)
            for each in fields[1:]:
                if type(each) is KnownByteField:
                    tests.append(f"{self.model.names_of(each)}[byte(header, {at + 1})]")
                at += each.sz
            self.out.add(f"return {' and '.join(tests)} and true or false")

    def _finish(self) -> None:
        self.out.section("A whole message")
        self.out.add(f"local READ = read_{snake_case(self.of.root.__name__)}", "")
        with self.out.block("local function finish(message)"):
            self.out.add(f"message.pinfo.cols.protocol = {quoted(self.of.name)}")
            self.out.add(*self.of.finish)


def _first_line(layer: type[Packet]) -> str:
    return (layer.__doc__ or "").strip().split("\n")[0]


def generate(description: Description) -> str:
    """The text of the dissector. Raises TypeError, naming layer and field, for what it has no rule for."""
    return Generator(description).text()
