# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the quick reader of an item: straight-line Lua that checks all of it, then shows it.

Neighbours of fixed size are checked for room once, then read. Where an item is odd in any way the reader gives nil
without having shown anything, and the careful reader of the item (lua_careful.py) says what is wrong.
"""

from __future__ import annotations

from scapy.fields import StrLenField
from scapy.packet import Packet

from scapy_chitchat.described.fields import AddressField, KnownByteField
from scapy_chitchat.described.kinds import BareField
from scapy_chitchat.described.lua_kinds import LUA, CannotDescribeError
from scapy_chitchat.described.lua_model import Model, fields_of
from scapy_chitchat.described.lua_source import LuaSource, quoted, title, variable


class QuickReader:
    """Writes the function that reads one item in one go. ``used``: the fields whose values others need."""

    def __init__(self, model: Model, out: LuaSource, layer: type[Packet], used: set[str]) -> None:
        self.model = model
        self.layer = layer
        self.out = out
        self.used = used
        self.base, self.offset = "at", 0
        self.places: dict[str, str] = {}
        self.sizes: dict[str, str] = {}
        self.reads: list[str] = []

    def write(self) -> None:
        """The whole function."""
        name = self.model.key(self.layer)
        with self.out.block(f"local function read_{name}(message, stream, bytes, at, stop, tvb, tree)"):
            for each in fields_of(self.layer):
                LUA.of(each, self.layer).quick(self, each)
            self._room()
            self.end = self._here()
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

    # --- reading, for the kinds of fields ---

    def fixed(self, each: BareField, size: int) -> None:
        """A field that always has as many bytes."""
        self.places[each.name], self.sizes[each.name] = self._here(), str(size)
        self.offset += size

    def refuse_unknown(self, each: KnownByteField) -> None:
        """The byte read last must be one that an enum has."""
        self.reads.append(f"if not {self.model.names_of(each)}[byte(bytes, {_one_on(self.places[each.name])})] then")
        self.reads += ["  return nil", "end"]

    def read_number(self, each: BareField, little_endian: bool) -> None:
        """The value of the number placed last, of one, two or four bytes."""
        name, place = variable(each.name), self.places[each.name]
        if each.sz == 1:
            self.reads.append(f"local {name} = byte(bytes, {_one_on(place)})")
        elif each.sz == 2:
            high, low = ("low", "high") if little_endian else ("high", "low")
            both = f"byte(bytes, {_one_on(place)}, {_one_on(place, 2)})"
            self.reads.append(f"local {high}_{name}, {low}_{name} = {both}")
            self.reads.append(f"local {name} = low_{name} + high_{name} * 256")
        else:
            order = "little" if little_endian else "big"
            self.reads.append(f"local {name} = {order}_endian(bytes, {place}, {each.sz})")

    def read_text(self, each: StrLenField, *, checked: bool) -> None:
        """A text whose length was read before; ``checked``: it must be UTF-8."""
        name = variable(each.name)
        self._room()
        start = self._here()
        length = self.model.length(self.layer, each)
        self._start_anew(name, f"{start} + {length}")
        self.places[each.name], self.sizes[each.name] = start, length
        self.reads.append(f"local {name} = sub(bytes, {_one_on(start)}, {name}_end)")
        self.reads.append(f"local odd_{name} = find({name}, UNPRINTABLE)")
        if checked:
            self.reads.append(f"if odd_{name} and utf8_error({name}) then")
            self.reads += ["  return nil", "end"]

    def read_address(self, each: AddressField) -> None:
        """An address whose version was read before."""
        name = variable(each.name)
        self._room()
        start = self._here()
        version = variable(each.version_from)
        self.out.add(f"local {name}_size = ADDRESS_SIZES[{version}]")
        with self.out.block(f"if not {name}_size then"):
            self.out.add("return nil")
        self._start_anew(name, f"{start} + {name}_size")
        self.places[each.name], self.sizes[each.name] = start, f"{name}_size"

    # --- showing, for the kinds of fields ---

    def _span(self, each: BareField) -> str:
        return f"tvb({self.places[each.name]}, {self.sizes[each.name]})"

    def show(self, each: BareField, function: str) -> None:
        """A leaf of the tree."""
        self.out.add(f"{function}(item, F.{self.model.key(self.layer, each.name)}, {self._span(each)})")

    def show_address(self, each: AddressField) -> None:
        """A leaf of one of two types."""
        key, version = self.model.key(self.layer, each.name), variable(each.version_from)
        self.out.add(f"add(item, {version} == 4 and F.{key} or F.{key}v6, {self._span(each)})")

    def show_text(self, each: StrLenField) -> None:
        """A leaf with its value."""
        name, key = variable(each.name), self.model.key(self.layer, each.name)
        with self.out.block(f"if odd_{name} then"):
            self.out.add(f"add_text(item, F.{key}, {self._span(each)}, {name})")
            self.out.otherwise()
            self.out.add(f"add(item, F.{key}, {self._span(each)}, {name})")

    def text_label(self, each: StrLenField) -> str:
        """Lua for a text in a label; a line before makes it ready."""
        of = variable(each.name)
        self.out.add(f"local {of}_label = (odd_{of} or #{of} > LONGEST_LABEL) and printable({of}) or {of}")
        return f"{of}_label"

    def _show(self) -> None:
        self.out.add(f"item = add(tree, F.{self.model.key(self.layer)}, tvb(at, {_less_at(self.end)}))")
        with self.out.block("if message.visible then"):
            self._add_label()
        for each in fields_of(self.layer):
            LUA.of(each, self.layer).show(self, each)

    def _add_label(self) -> None:
        """What an item's line in the tree says."""
        text, parts = self.layer.__name__, []
        for index, name in enumerate(self.model.of.labels.get(self.layer, ())):
            each = self._field(name)
            kind = LUA.of(each, self.layer)
            text += ", " if index else ": "
            text += "" if kind.is_text else f"{title(name).lower()} "
            parts += [quoted(text), kind.label(self, each)]
            text = ""
        self.out.add(f"set_text(item, {' .. '.join(parts or [quoted(text)])})")

    def _field(self, name: str) -> BareField:
        for each in fields_of(self.layer):
            if each.name == name:
                return each
        raise CannotDescribeError(f"{self.layer.__name__} has no field {name}, of which the description speaks")

    def _check(self) -> None:
        names = self.model.of.checks.get(self.layer)
        if names is None:
            return
        arguments = [LUA.of(each, self.layer).argument(self, each) for each in map(self._field, names)]
        kind = self.model.key(self.layer)
        self.out.add(f"check_{kind}(message, stream, bytes, at, item, {', '.join(arguments)})")


def _one_on(place: str, more: int = 1) -> str:
    """An offset as an index into a Lua string, which counts from 1."""
    base, _, offset = place.partition(" + ")
    return f"{base} + {int(offset or 0) + more}" if not offset or offset.isdigit() else f"{place} + {more}"


def _less_at(place: str) -> str:
    """The distance of a place from the start of its item."""
    return place.removeprefix("at + ") if place.startswith("at + ") else f"{place} - at"
