# SPDX-License-Identifier: GPL-2.0-or-later
"""What a dissector makes of each kind of field: how Wireshark declares it, and which Lua reads it.

Stock fields of Scapy are read as far as their parameters say what they are: a length or a count must be a
``FieldLenField`` that names what it measures, since a program cannot read a lambda.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scapy.fields import (
    ByteEnumField,
    ByteField,
    FieldLenField,
    IntField,
    IP6Field,
    IPField,
    LEIntField,
    LELongField,
    LEShortField,
    LongField,
    PacketListField,
    ShortField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet

from scapy_chitchat.described.codes import BLOCK_SHORT, FIELD_SHORT, STRING_SHORT
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.facts import FACTS
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
from scapy_chitchat.described.kinds import BareField, FieldKind, KindTable
from scapy_chitchat.described.lists import BlocksField, ItemsField
from scapy_chitchat.described.lua_source import literal, quoted, variable

if TYPE_CHECKING:
    from scapy_chitchat.described.lua_careful import CarefulReaders
    from scapy_chitchat.described.lua_model import Model
    from scapy_chitchat.described.lua_quick import QuickReader


class CannotDescribeError(TypeError):
    """Something in a description that does not say by its parameters what it is."""


class LuaKind(Generic[FieldKind]):
    """A kind of field. By default it is a number of 1, 2, 4 or 8 bytes."""

    display: tuple[str, ...] = ()
    """What Wireshark is told of how to show it."""
    in_items = True
    """Whether a quick reader of an item may meet it."""
    is_text = False
    """Whether its value says by itself in a label what it is."""
    keeps_place = False
    """Whether the careful reader of an item keeps where it starts, whoever asks."""

    def forms(self, each: FieldKind) -> Iterable[tuple[str, str]]:
        """The types of the fields that Wireshark shows it in, each behind what its name has more than the field's."""
        return [("", f"uint{each.sz * 8}")]

    def names(self, each: FieldKind) -> dict[int, str]:
        """What its values are called."""
        return {}

    def layers(self, each: FieldKind) -> Sequence[type[Packet]]:
        """The layers of the packets that it holds."""
        return ()

    def blocks(self, each: FieldKind) -> BlocksField | None:
        """The field, if it is the blocks of a stream."""
        return None

    def layers_in(self, each: FieldKind, version: int | None) -> Sequence[type[Packet]]:
        """Those in messages of a version that has some of its own; None: in all others."""
        return self.layers(each)

    def versions(self, readers: CarefulReaders, layer: type[Packet], each: FieldKind) -> Sequence[int]:
        """The versions that have some of their own."""
        return ()

    def kinds(self, readers: CarefulReaders, layer: type[Packet], each: FieldKind, version: int | None) -> str:
        """Lua for what a list's description says of its items."""
        return f"only = KINDS.{readers.model.key(self.layers(each)[0])}"

    def read_list(self, readers: CarefulReaders, layer: type[Packet], each: FieldKind) -> str:
        """The statements that read a list of packets."""
        raise CannotDescribeError(f"{layer.__name__}.{each.name}: is no list")

    def codes(self, each: FieldKind) -> Sequence[str]:
        """What its reader may find wrong with it."""
        return FACTS.of(each).codes(each) if FACTS.knows(each) else (FIELD_SHORT,)

    def take(self, model: Model, layer: type[Packet], each: FieldKind) -> str:
        """Lua that reads it carefully, shows it and gives its value."""
        order = "le" if is_little_endian(each) else "be"
        return f"take_{order}({start(model, layer, each)}, {each.sz})"

    def quick(self, reader: QuickReader, each: FieldKind) -> None:
        """The lines of a quick reader that read it."""
        reader.fixed(each, each.sz)
        if each.name in reader.used and each.sz <= 4:
            reader.read_number(each, is_little_endian(each))

    def show(self, reader: QuickReader, each: FieldKind) -> None:
        """The lines of a quick reader that show it."""
        reader.show(each, "add_le" if is_little_endian(each) and each.sz > 1 else "add")

    def label(self, reader: QuickReader, each: FieldKind) -> str:
        """Lua for its value in the label of its item."""
        if each.sz != 8 or not is_little_endian(each):
            raise CannotDescribeError(f"{reader.layer.__name__}.{each.name}: labels have numbers of eight bytes only")
        return f"decimal(bytes, {reader.places[each.name]})"

    def argument(self, reader: QuickReader, each: FieldKind) -> str:
        """Lua for what a hand-written check wants of it: where it starts."""
        return reader.places[each.name]


def start(model: Model, layer: type[Packet], each: BareField) -> str:
    """The first arguments of what reads a field carefully."""
    return f"reader, F.{model.key(layer, each.name)}, {quoted(each.name)}"


def is_little_endian(each: BareField) -> bool:
    """The byte order of a number."""
    return bool(each.fmt.startswith("<")) or each.sz == 1


EnumKind = TypeVar("EnumKind", bound=ByteEnumField)
"""A class of fields whose values have names."""


class _Enum(LuaKind[EnumKind]):
    display = ("base.DEC",)

    def names(self, each: EnumKind) -> dict[int, str]:
        if each.i2s is None:
            raise CannotDescribeError(f"{each.name}: what its values are called is said by a function")
        return dict(each.i2s)


class _Tag(_Enum[KnownByteField]):
    def take(self, model: Model, layer: type[Packet], each: KnownByteField) -> str:
        codes = f"{quoted(each.refused_as)}, {quoted(each.short_as)}"
        known = model.names_of(each)
        return f"take_known_byte({start(model, layer, each)}, {known}, {codes}, {literal(each.breaks)})"


class _Known(_Tag):
    def quick(self, reader: QuickReader, each: KnownByteField) -> None:
        reader.fixed(each, each.sz)
        reader.refuse_unknown(each)


class _Magic(LuaKind[MagicField]):
    display = ("base.HEX",)

    def take(self, model: Model, layer: type[Packet], each: MagicField) -> str:
        numbers = f"{each.sz}, {each.default}, {each.room}"
        codes = f"{quoted(each.short_as)}, {quoted(each.refused_as)}"
        return f"take_magic({start(model, layer, each)}, {numbers}, {codes})"


class _IPVersion(LuaKind[IPVersionField]):
    def take(self, model: Model, layer: type[Packet], each: IPVersionField) -> str:
        return f"take_ip_version({start(model, layer, each)}, {quoted(each.refused_as)})"


class _Bytes(LuaKind[FieldKind]):
    """Bytes of a fixed number, which Wireshark itself knows how to show."""

    def __init__(self, form: str) -> None:
        self.form = form

    def forms(self, each: FieldKind) -> Iterable[tuple[str, str]]:
        return [("", self.form)]

    def size(self, each: FieldKind) -> int:
        return each.sz

    def take(self, model: Model, layer: type[Packet], each: FieldKind) -> str:
        return f"take_bytes({start(model, layer, each)}, {self.size(each)})"

    def quick(self, reader: QuickReader, each: FieldKind) -> None:
        reader.fixed(each, self.size(each))

    def show(self, reader: QuickReader, each: FieldKind) -> None:
        reader.show(each, "add")

    def label(self, reader: QuickReader, each: FieldKind) -> str:
        raise CannotDescribeError(f"{reader.layer.__name__}.{each.name}: labels have numbers and texts only")


class _FixedBytes(_Bytes[StrFixedLenField]):
    def size(self, each: StrFixedLenField) -> int:
        return each.length_from(None)  # type: ignore[arg-type]  # a fixed length depends on no packet


class _Address(_Bytes[AddressField]):
    def forms(self, each: AddressField) -> Iterable[tuple[str, str]]:
        return [("", "ipv4"), ("v6", "ipv6")]

    def take(self, model: Model, layer: type[Packet], each: AddressField) -> str:
        key, version = model.key(layer, each.name), model.value(layer, each.version_from)
        return f"take_address(reader, F.{key}, F.{key}v6, {quoted(each.name)}, {version})"

    def quick(self, reader: QuickReader, each: AddressField) -> None:
        reader.read_address(each)

    def show(self, reader: QuickReader, each: AddressField) -> None:
        reader.show_address(each)


class _Text(LuaKind[StrLenField]):
    is_text = True

    def __init__(self, code: str, *, checked: bool) -> None:
        self.code = code
        self.checked = checked

    def forms(self, each: StrLenField) -> Iterable[tuple[str, str]]:
        return [("", "string")]

    def take(self, model: Model, layer: type[Packet], each: StrLenField) -> str:
        size = model.length(layer, each)
        return f"take_text({start(model, layer, each)}, {size}, {quoted(self.code)}, {literal(self.checked)})"

    def quick(self, reader: QuickReader, each: StrLenField) -> None:
        reader.read_text(each, checked=self.checked)

    def show(self, reader: QuickReader, each: StrLenField) -> None:
        reader.show_text(each)

    def label(self, reader: QuickReader, each: StrLenField) -> str:
        return reader.text_label(each)

    def argument(self, reader: QuickReader, each: StrLenField) -> str:
        return variable(each.name) if self.checked else reader.places[each.name]


class _Packed(LuaKind[PackedField]):
    in_items = False
    keeps_place = True

    def forms(self, each: PackedField) -> Iterable[tuple[str, str]]:
        return [("", "bytes")]

    def take(self, model: Model, layer: type[Packet], each: PackedField) -> str:
        return f"take_bytes({start(model, layer, each)}, {model.length(layer, each)}, {quoted(BLOCK_SHORT)})"


class _Holder(LuaKind[FieldKind]):
    in_items = False

    def forms(self, each: FieldKind) -> Iterable[tuple[str, str]]:
        return [("", "none")]


class _Blocks(_Holder[BlocksField]):
    def layers(self, each: BlocksField) -> Sequence[type[Packet]]:
        return (each.block,)

    def blocks(self, each: BlocksField) -> BlocksField:
        return each

    def versions(self, readers: CarefulReaders, layer: type[Packet], each: BlocksField) -> Sequence[int]:
        return list(_held(layer, each).in_version)

    def kinds(self, readers: CarefulReaders, layer: type[Packet], each: BlocksField, version: int | None) -> str:
        holds = readers.list_of(layer, _held(layer, each), version)
        block, code = readers.model.key(each.block), quoted(each.data.refused_as)
        return f"block = KINDS.{block}, holds = {holds}, refused_as = {code}"

    def read_list(self, readers: CarefulReaders, layer: type[Packet], each: BlocksField) -> str:
        blocks = readers.chosen_list(layer, each, self.versions(readers, layer, each))
        return f"held_{each.holds} = read_blocks(reader, {blocks})"


def _held(layer: type[Packet], blocks: BlocksField) -> ItemsField:
    """The list that blocks hold."""
    for each in map(inner, layer.fields_desc):
        if each.name == blocks.holds and type(each) is ItemsField:
            return each
    raise CannotDescribeError(f"{layer.__name__}.{blocks.name}: there is no list {blocks.holds}")


class _Items(_Holder[ItemsField]):
    def layers(self, each: ItemsField) -> Sequence[type[Packet]]:
        return each.all_layers()

    def layers_in(self, each: ItemsField, version: int | None) -> Sequence[type[Packet]]:
        return each.in_messages_of(version).layers

    def versions(self, readers: CarefulReaders, layer: type[Packet], each: ItemsField) -> Sequence[int]:
        return list(each.in_version)

    def kinds(self, readers: CarefulReaders, layer: type[Packet], each: ItemsField, version: int | None) -> str:
        here, key = each.in_messages_of(version), readers.model.key
        if not here.by_tag:
            return f"only = KINDS.{key(here.layers[0])}"
        tags = ", ".join(f"[{tag}] = KINDS.{key(item)}" for tag, item in here.by_tag.items())
        return f"by_tag = {{ {tags} }}, refused_as = {quoted(each.refused_as)}"

    def read_list(self, readers: CarefulReaders, layer: type[Packet], each: ItemsField) -> str:
        """Of a list that stands in blocks where there are any, else here."""
        count = readers.model.value(layer, each.count_from) if each.count_from else "nil"
        chosen = readers.chosen_list(layer, each, self.versions(readers, layer, each))
        read_here = f"read_items(reader, {chosen}, {count})"
        read_held = f"read_held(reader, held_{each.name})"
        blocks = next((field for field in layer.fields_desc if inner(field).name == each.blocks_from), None)
        if blocks is None:
            return read_here
        if readers.model.condition(layer, blocks) is None:
            return read_held
        return f"if held_{each.name} then\n  {read_held}\nelse\n  {read_here}\nend"


class _StockList(_Holder[PacketListField]):
    def layers(self, each: PacketListField) -> Sequence[type[Packet]]:
        if not (isinstance(each.cls, type) and issubclass(each.cls, Packet)):
            raise CannotDescribeError(f"{each.name}: a list whose items are not of one layer")
        return (each.cls,)

    def read_list(self, readers: CarefulReaders, layer: type[Packet], each: PacketListField) -> str:
        return f"read_items(reader, {readers.list_of(layer, each)}, {readers.model.count(layer, each)})"


_NUMBER: LuaKind[BareField] = LuaKind()

LUA: KindTable[LuaKind[Any]] = KindTable(
    "the dissector",
    {
        ByteField: _NUMBER,
        ShortField: _NUMBER,
        IntField: _NUMBER,
        LongField: _NUMBER,
        LEShortField: _NUMBER,
        LEIntField: _NUMBER,
        LELongField: _NUMBER,
        FieldLenField: _NUMBER,
        PortField: _NUMBER,
        ByteEnumField: _Enum(),
        TagField: _Tag(),
        KnownByteField: _Known(),
        MagicField: _Magic(),
        IPVersionField: _IPVersion(),
        AddressField: _Address("ipv4"),
        IPField: _Bytes("ipv4"),
        IP6Field: _Bytes("ipv6"),
        StrFixedLenField: _FixedBytes("bytes"),
        StrLenField: _Text(FIELD_SHORT, checked=False),
        StringField: _Text(STRING_SHORT, checked=True),
        PackedField: _Packed(),
        BlocksField: _Blocks(),
        ItemsField: _Items(),
        PacketListField: _StockList(),
    },
)
"""What a dissector makes of each kind of field."""
