# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the careful readers of layers, and the descriptions of their lists.

A careful reader goes field by field, says what is wrong and where, and shows what it can. What stands once in a message
is read that way alone; an item of a list has a quick reader besides (lua_quick.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from scapy.packet import Packet

from scapy_chitchat.described.fields import as_is
from scapy_chitchat.described.kinds import BareField
from scapy_chitchat.described.lists import VERSION
from scapy_chitchat.described.lua_kinds import LUA, CannotDescribeError
from scapy_chitchat.described.lua_model import Model, fields_of
from scapy_chitchat.described.lua_source import LuaSource, quoted, title, variable


class CarefulReaders:
    """Writes what reads layers field by field."""

    def __init__(self, model: Model, out: LuaSource) -> None:
        self.model = model
        self.out = out
        self._listed: set[str] = set()

    # --- layers ---

    def used(self, layer: type[Packet]) -> set[str]:
        """Fields of a layer whose values other fields of it need."""
        code = []
        for each in layer.fields_desc:
            code.append(self.model.condition(layer, each) or "")
        for each in fields_of(layer):
            kind = LUA.of(each, layer)
            code.append(kind.read_list(self, layer, each) if kind.layers(each) else kind.take(self.model, layer, each))
        words = set(re.findall(r"\w+", re.sub(r'"[^"]*"|F\.\w+|NAMES\.\w+|LISTS\.\w+', "", " ".join(code))))
        return {each.name for each in fields_of(layer) if variable(each.name) in words}

    def statements(self, layer: type[Packet]) -> None:
        """The statements that read a layer field by field."""
        used = self.used(layer)
        in_items = layer in self.model.items
        for each, bare in zip(layer.fields_desc, fields_of(layer), strict=True):
            kept = in_items and (bare.name in used or LUA.of(bare, layer).keeps_place)
            statement = self._statement(layer, bare, kept)
            condition = self.model.condition(layer, each)
            if condition is None:
                self.out.add(*(f"local {statement}" if kept else statement).split("\n"))
                continue
            if kept:
                self.out.add(f"local {variable(bare.name)}")
            with self.out.block(f"if {condition} then"):
                self.out.add(*statement.split("\n"))

    def _statement(self, layer: type[Packet], each: BareField, kept: bool) -> str:
        kind = LUA.of(each, layer)
        if kind.layers(each):
            return kind.read_list(self, layer, each)
        taken = kind.take(self.model, layer, each)
        if layer in self.model.messages:
            return f"reader.values.{each.name} = {taken}"
        return f"{variable(each.name)} = {taken}" if kept else taken

    def block_result(self, layer: type[Packet]) -> None:
        """What a reader of streams wants of a block: whether it is the last, where its data is, what unpacks it.

        Raises CannotDescribeError for an unpacker that no hand-written part has.
        """
        for _, each in self.model.all_fields():
            blocks = LUA.of(each).blocks(each)
            if blocks and blocks.block is layer:
                packed = blocks.data
                kind = self.model.value(layer, blocks.kind.name)
                is_last = self.model.comparison(layer, blocks.last)
                unpackers = []
                for value, unpacker in packed.packings.items():
                    if unpacker is as_is:
                        continue
                    name = self.model.of.unpackers.get(unpacker)
                    if name is None:
                        what = f"{blocks.kind.name} {value} ({blocks.kind.i2s[value]})"
                        reason = f"no hand-written part is named for {unpacker.__name__}, which unpacks {what}"
                        raise CannotDescribeError(f"{layer.__name__}.{packed.name}: {reason}")
                    unpackers.append(f"{kind} == {value} and {name}")
                length = self.model.length(layer, packed)
                self.out.add(f"return {is_last}, {variable(packed.name)}, {length}, {' or '.join(unpackers) or 'nil'}")
                return

    # --- lists ---

    def list_of(self, layer: type[Packet], each: BareField, version: int | None = None) -> str:
        """The name of the description of a list: of the one in messages of a version, if it has one of its own."""
        key = f"LISTS.{self.model.key(layer, each.name)}"
        return key if version is None else f"{key}_in_{version}"

    def chosen_list(self, layer: type[Packet], each: BareField, versions: Sequence[int]) -> str:
        """Lua for the description of a list in the present message."""
        own = [
            f"{self.model.value(layer, VERSION)} == {version} and {self.list_of(layer, each, version)} or "
            for version in versions
        ]
        return "".join(own) + self.list_of(layer, each)

    def lists(self, layer: type[Packet]) -> None:
        """The descriptions of the lists in a layer, those that blocks hold before them."""
        for each in sorted(fields_of(layer), key=lambda each: LUA.of(each, layer).blocks(each) is not None):
            kind = LUA.of(each, layer)
            if not kind.layers(each) or self.model.key(layer, each.name) in self._listed:
                continue
            self._listed.add(self.model.key(layer, each.name))
            for version in (None, *kind.versions(self, layer, each)):
                self._list(layer, each, version)

    def _list(self, layer: type[Packet], each: BareField, version: int | None) -> None:
        kind = LUA.of(each, layer)
        key = self.model.key(layer, each.name)
        inside = [name for item in kind.layers_in(each, version) for name in self._keys_in(item)]
        with self.out.block(f"{self.list_of(layer, each, version)} = {{", "}"):
            self.out.add(f"name = {quoted(each.name)}, label = {quoted(title(each.name))}, field = F.{key},")
            self.out.add(kind.kinds(self, layer, each, version) + ",")
            with self.out.block("fields = {", "},"):
                self.out.wrapped([f"F.{name}" for name in [key, *inside]])
        self.out.add("")

    def _keys_in(self, layer: type[Packet]) -> Iterator[str]:
        """All fields that are shown within an item."""
        yield self.model.key(layer)
        for each in fields_of(layer):
            for key, _ in self.model.declare(layer, each):
                yield key
            for item in LUA.of(each, layer).layers(each):
                yield from self._keys_in(item)
