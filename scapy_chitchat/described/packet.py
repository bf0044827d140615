# SPDX-License-Identifier: GPL-2.0-or-later
"""The Scapy packet under all layers of a description.

Scapy remembers the bytes of a dissected packet and gives them back until it notices a change, which it does not two
levels down; and a length that was read stays when the string it measures is edited. Here it is the other way round:
a packet is always built from its values, and what is computed from other values is not among them.

- ``fields`` holds what a user set and what was read, except for computed fields (lengths, counts, IP versions, blocks).
- ``as_read`` holds computed fields as they were read, where they are not what would be computed: blocks, which another
  writer may have cut otherwise, and lengths that lie. Each is kept with the value it measured at the time, and counts
  for as long as that value is the same. It is None for a packet that was not dissected.

So an edit at any depth is seen by comparing values when bytes are wanted, and needs no notice.

Items of lists are made by the thousand, without ``Packet.__init__``: only ``fields`` and ``as_read`` are set, every
other slot of Packet gets its first value when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from scapy.fields import AnyField, RawVal
from scapy.packet import NoPayload, Packet
from scapy.volatile import VolatileValue

from scapy_chitchat.described.careful import CAREFUL, pull_fields
from scapy_chitchat.described.compiler import ITEM_READ, ListReader, compile_list_reader
from scapy_chitchat.described.computed import COMPUTED
from scapy_chitchat.described.conditions import ABSENT, condition, inner, is_in
from scapy_chitchat.described.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.described.facts import FACTS, measured_by
from scapy_chitchat.described.fields import AddressField
from scapy_chitchat.described.kinds import BareField, FieldValue
from scapy_chitchat.described.lists import HeldStream, ItemsField
from scapy_chitchat.described.malformed import malformed
from scapy_chitchat.described.source import PythonSource
from scapy_chitchat.described.unbuildable import UnbuildableError, why_unbuildable
from scapy_chitchat.described.writers import (
    FAST_WRITE_FAILED,
    ITEM_WRITE,
    ItemWriter,
    compile_writer,
    has_fast_way,
)
from scapy_chitchat.net.addresses import address_bytes, address_text

if TYPE_CHECKING:
    from typing_extensions import Self

NOTHING: Mapping[str, NoReturn] = MappingProxyType({})
"""``as_read`` of a packet whose computed fields are all as they would be computed."""

NOTES = ("trouble", "broken", "time", "sent_time", "direction", "sniffed_on", "wirelen", "comments")
"""What a pickled packet keeps beside its values: what was noted of it, here and by Scapy."""

DISSECTION_LIMIT = 1024 * 1024
"""The most decompressed bytes of one stream that become packets: a packet takes up to a hundred times its bytes of
memory, and a message of 65,507 bytes can grow to 180 MB."""


class WirePacket(Packet):
    """A packet that is built from its values, and from what was read where that still stands."""

    __slots__ = ["as_read", "broken", "trouble"]
    fields_desc: ClassVar[list[AnyField]] = []
    field_docs: ClassVar[Mapping[str, str]] = {}
    """What the values of the layer are, in a sentence each, by the names that packets and records have for them."""
    is_described: ClassVar[bool] = True
    """Whether conditions may look for a field in this layer."""

    as_read: Mapping[str, tuple[object, object]] | None
    trouble: BreakOff | None
    """The first thing that a node would refuse, as far as the reading of fields can tell; None where there is none."""
    broken: BreakOff | None
    """Where the reading ended early, if what is left is to stand behind this layer."""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        check_layer(cls)

    def __init__(self, _pkt: bytes = b"", **arguments: FieldValue) -> None:
        object.__setattr__(self, "as_read", None)
        object.__setattr__(self, "trouble", None)
        object.__setattr__(self, "broken", None)
        super().__init__(_pkt, **arguments)

    def __getattr__(self, attr: str) -> Any:
        value = self.fields.get(attr)
        if value is not None:
            return value
        if attr in self.__all_slots__:
            return _first_value(self, attr)
        return super().__getattr__(attr)

    # --- values ---

    def getfieldval(self, attr: str) -> FieldValue:
        """The value of a field; for a computed one of a dissected packet, what stands on the wire."""
        if attr not in self.fields and self.as_read is not None:
            field = self.fieldtype.get(attr)
            if field is not None and measured_by(inner(field)):
                return self._computed(field)
        value = super().getfieldval(attr)
        return self.overloaded_fields.get(attr) if value is None else value

    def getfield_and_val(self, attr: str) -> tuple[AnyField, FieldValue]:
        """A field and its value, as getfieldval gives it."""
        if attr in self.fieldtype:
            return self.fieldtype[attr], self.getfieldval(attr)
        return super().getfield_and_val(attr)

    def delfieldval(self, attr: str) -> None:
        """Make a field what it would be if it had never been set or read."""
        if self.as_read and attr in self.as_read:
            self.as_read = {name: kept for name, kept in self.as_read.items() if name != attr}
        super().delfieldval(attr)

    def _computed(self, field: AnyField) -> object:
        try:
            return self._compute(field)
        except (ValueError, TypeError, AttributeError):
            return None  # what it is computed from is refused when the packet is built

    def _compute(self, field: AnyField) -> object:
        if not is_in(field, self):
            return None
        bare = inner(field)
        computed = COMPUTED.of(bare)
        value, then = (self.as_read or NOTHING).get(field.name, (None, None))
        now = computed.measured(bare, self)
        return value if value is not None and now == then else computed.made(bare, self, now)

    # --- dissection ---

    def pre_dissect(self, s: bytes) -> bytes:
        """The bytes, also of a memoryview."""
        return bytes(s)

    def do_dissect(self, s: bytes) -> bytes:
        """Read the fields as far as they go; what is left is the payload's."""
        cursor = Cursor(s, base=self._offset(), limit=DISSECTION_LIMIT)
        scope = Scope({}, self._scope_below())
        try:
            pull_fields(type(self), cursor, scope, PACKETS)
        except BreakOff as trouble:
            self.broken = None if trouble.placed else trouble
        self._take(scope.values, scope.held)
        self.trouble = cursor.refusals[0] if cursor.refusals else None
        self.explicit = 1
        return s[cursor.pos :]

    def do_dissect_payload(self, s: bytes) -> None:
        """Behind a whole layer, its payload; behind one that broke off, the rest of the bytes and the reason."""
        if self.broken:
            self.add_payload(malformed(self.broken, s))
        else:
            super().do_dissect_payload(s)

    def _take(self, values: dict[str, object], held: Mapping[str, HeldStream] = NOTHING) -> None:
        """Make what was read this packet's own. ``held``: the bytes of the items that were read of streams."""
        self.as_read = NOTHING
        self.fields.clear()
        computed = []
        for name, value in values.items():
            field = inner(self.fieldtype[name])
            if measured_by(field) and value is not ABSENT:
                computed.append((name, field, value))
            elif not (FACTS.of(field).is_tag and value == field.default):
                self.fields[name] = value
        as_read = {}
        for name, field, value in computed:
            kept = COMPUTED.of(field).kept(field, self, value, held)
            if kept is not None:
                as_read[name] = kept
        if as_read:
            self.as_read = as_read

    def _scope_below(self) -> Scope | None:
        below = self.underlayer
        return Scope(below.fields) if isinstance(below, WirePacket) else None

    def _offset(self) -> int:
        below = self.underlayer
        return len(below.self_build()) if isinstance(below, WirePacket) else 0

    # --- building ---

    def self_build(self) -> bytes:
        """The bytes of this layer. Raises ValueError, with the field's name, for a value that no wire can hold."""
        return b"".join(self._field_bytes(field) for field in self.fields_desc)

    def _field_bytes(self, field: AnyField) -> bytes:
        if not is_in(field, self):
            return b""
        value = self.getfieldval(field.name)
        if value is ABSENT:
            return b""
        if isinstance(value, RawVal) and not FACTS.of(inner(field)).holds_packets:  # which may go into blocks
            return bytes(value)
        try:
            return field.addfield(self, b"", value)
        except UnbuildableError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            raise UnbuildableError(why_unbuildable(self, field, value, error)) from error

    def do_build_ps(self) -> tuple[bytes, list[tuple[Packet, list[tuple[BareField, str, bytes]]]]]:
        """The bytes, and layer by layer the text and the bytes of each field: what ``psdump`` draws."""
        present = [field for field in self.fields_desc if is_in(field, self)]
        texts = [each.i2repr(self, self.getfieldval(each.name)) for each in present]
        parts = [(inner(each), text, self._field_bytes(each)) for each, text in zip(present, texts, strict=True)]
        behind, layers = self.payload.build_ps(internal=1)
        return b"".join(data for _, _, data in parts) + behind, [*layers, (self, parts)]

    def item_bytes(self) -> bytes:
        """The bytes of this packet as an item of a list: quickly, where all its values are plain ones."""
        try:
            return _item_writer(type(self))(self)
        except FAST_WRITE_FAILED:
            return self.build()

    def clone_with(self, payload: Packet | None = None, **kargs: object) -> WirePacket:
        """A packet with these values, built as this one."""
        clone: WirePacket = super().clone_with(payload, **kargs)
        clone.as_read = self.as_read
        return clone

    def copy(self) -> Self:
        """A packet that shares nothing with this one."""
        clone: Self = super().copy()
        if self.as_read:
            clone.as_read = {
                name: (self.fieldtype[name].do_copy(value), measured)
                for name, (value, measured) in self.as_read.items()
            }
        else:
            clone.as_read = self.as_read
        clone.trouble, clone.broken = self.trouble, self.broken
        return clone

    def __reduce__(self) -> tuple[object, ...]:
        # Bytes alone would not do: a message without its header does not say of which version it is, and what was set
        # by hand would come back as read.
        as_read = self.as_read if self.as_read is None else dict(self.as_read)
        payload = self.payload if self.payload else None
        below = self.underlayer
        header = (type(below), dict(below.fields)) if isinstance(below, WirePacket) else None
        notes = {slot: getattr(self, slot) for slot in NOTES}
        random = {name: value for name, value in self.default_fields.items() if isinstance(value, VolatileValue)}
        return _unpickled, (type(self), {**random, **self.fields}, as_read, payload, header, notes)

    # --- showing ---

    def show2(self, dump: bool = False, indent: int = 3, lvl: str = "", label_lvl: str = "") -> str | None:
        """Print, or give with ``dump``, the packet with everything computed that can be."""
        below = self.underlayer if isinstance(self.underlayer, WirePacket) else None  # which says of what version it is
        return type(self)(bytes(self), _underlayer=below).show(dump, indent, lvl, label_lvl)

    def _command(self, json: bool = False) -> list[tuple[str, object]]:
        pairs: list[tuple[str, object]] = super()._command(json)
        if json:
            return pairs
        for name in self.as_read or ():
            field = inner(self.fieldtype[name])
            written = COMPUTED.of(field).written(field, self, self.getfieldval(name))
            if written is not None:
                pairs.append((name, written))
        return pairs


def check_layer(layer: type[Packet]) -> None:
    """Raise TypeError, naming layer and field, where something derived from the layer would not read it as it says."""
    for field in layer.fields_desc:
        bare = inner(field)
        when = condition(field, layer)
        CAREFUL.of(bare, layer)
        facts = FACTS.of(bare, layer)
        facts.check(bare, layer, when)
        if facts.measured_by(bare):
            COMPUTED.of(bare, layer)
        for item in facts.items(bare):
            for each in item.fields_desc:
                ITEM_READ.of(each, item)
                ITEM_WRITE.of(each, item)


def _unpickled(
    cls: type[WirePacket],
    values: dict[str, object],
    as_read: Mapping[str, tuple[object, object]] | None,
    payload: Packet | None,
    header: tuple[type[WirePacket], dict[str, object]] | None,
    notes: dict[str, object],
) -> WirePacket:
    pkt = cls()
    pkt.fields = values
    pkt.as_read = as_read
    for slot, value in notes.items():
        setattr(pkt, slot, value)
    if payload is not None:
        pkt.add_payload(payload)
    if header is not None:
        pkt.underlayer = header[0]()
        pkt.underlayer.fields = header[1]
    return pkt


# --- items without __init__ ---

_new = Packet.__new__


def _setter(cls: type[Packet], slot: str) -> Callable[[Packet, object], None]:
    """What sets a slot, past Packet.__setattr__."""
    return cls.__dict__[slot].__set__  # type: ignore[no-any-return]


_set_fields = _setter(Packet, "fields")
_set_payload = _setter(Packet, "payload")
_set_as_read = _setter(WirePacket, "as_read")


@cache
def _blank(cls: type[WirePacket]) -> Callable[[dict[str, object]], WirePacket]:
    """A function that makes a dissected packet of the values of its fields."""
    no_payload = NoPayload()

    def make(values: dict[str, object]) -> WirePacket:
        pkt: WirePacket = _new(cls)
        _set_fields(pkt, values)
        _set_as_read(pkt, NOTHING)
        _set_payload(pkt, no_payload)
        return pkt

    return make


@cache
def _prototype(cls: type[WirePacket]) -> WirePacket:
    pkt = cls()
    pkt.time = 0.0
    pkt.explicit = 1
    return pkt


def _first_value(pkt: WirePacket, slot: str) -> Any:
    """Give a slot of a packet made without ``__init__`` the value that ``__init__`` would have given it."""
    value = object.__getattribute__(_prototype(type(pkt)), slot)
    if slot in ("overloaded_fields", "post_transforms"):
        value = value.copy()
    object.__setattr__(pkt, slot, value)
    return value


class PacketSink:
    """Makes Scapy packets of what a careful read finds, and of what a compiled reader finds."""

    joins_ports = False
    text_errors = "surrogateescape"

    def make(
        self, field: ItemsField, layer: type[Packet], values: dict[str, object], carried: tuple[object, ...]
    ) -> Packet:
        """A dissected packet of ``layer``. What its section says stands there, and not in it as well."""
        return self.make_block(layer, values)

    def make_block(self, layer: type[Packet], values: dict[str, object]) -> Packet:
        """A dissected packet of ``layer``."""
        pkt = _blank(layer)({})
        pkt._take(values)
        return pkt

    def leftover(self, trouble: BreakOff, rest: bytes) -> Packet:
        """A Malformed packet."""
        return malformed(trouble, rest)

    def read_list(
        self, field: ItemsField, data: bytes, pos: int, count: int | None, carried: tuple[object, ...] = ()
    ) -> tuple[list[Packet], int]:
        """The items of ``field`` by its compiled reader."""
        return _list_reader(field)(data, pos, count)

    def read_list_leniently(
        self, field: ItemsField, data: bytes, pos: int, count: int | None, carried: tuple[object, ...] = ()
    ) -> tuple[list[Packet], int]:
        """The same by a reader that does not look at values."""
        return _lenient_list_reader(field)(data, pos, count)

    def expression(self, field: ItemsField, layer: type[Packet], source: PythonSource) -> str:
        """A call that makes the packet of a dict of its values."""
        pairs = ", ".join(f"{name!r}: {name}" for name in _plain_fields(layer))
        return f"{source.name(_blank(layer), 'make')}({{{pairs}}})"

    def address(self, field: AddressField, source: PythonSource) -> str | None:
        """The address as text."""
        return f"{source.name(address_text, 'address_text')}({field.name}_raw)"

    def opening(self, layer: type[Packet], source: PythonSource) -> None:
        """Only a packet that has every value, and none by hand that is computed otherwise, can be written quickly."""
        source.add("_values = _item.fields")
        source.add(f"if len(_values) != {len(_plain_fields(layer))} or _item.as_read or _item.payload:")
        source.add("    raise ValueError")

    def value(self, field: BareField, source: PythonSource) -> str:
        """The value in the packet."""
        return f"_values[{field.name!r}]"

    known_value = port = value

    def address_bytes(self, field: AddressField, source: PythonSource) -> str:
        """The bytes of the address in the packet."""
        return f"{source.name(address_bytes, 'address_bytes')}(_values[{field.name!r}])"


PACKETS = PacketSink()
"""What becomes of what a reader finds: packets."""


def _plain_fields(layer: type[Packet]) -> list[str]:
    """The names of the fields of an item that a reader puts into the packet: not what follows from others."""
    return [f.name for f in layer.fields_desc if not measured_by(f) and not FACTS.of(f).is_tag]


@cache
def _list_reader(field: ItemsField) -> ListReader:
    return compile_list_reader(field, PACKETS)


@cache
def _lenient_list_reader(field: ItemsField) -> ListReader:
    return compile_list_reader(field, PACKETS, lenient=True)


@cache
def _item_writer(layer: type[WirePacket]) -> ItemWriter:
    """The compiled writer of a layer; of one that is no item of a list, a function that fails as such a writer does."""
    return compile_writer(layer, PACKETS) if has_fast_way(layer) else _no_fast_way


def _no_fast_way(item: object) -> bytes:
    raise ValueError
