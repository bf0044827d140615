# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields that hold lists of packets: items, and the blocks of a compressed stream.

A list is read by its compiled reader (compiler.py). Where that is stuck, the one item is read carefully, field by
field, and the compiled reader goes on behind it.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from scapy.fields import Field, FieldLenField, PacketListField, RawVal
from scapy.packet import Packet

from scapy_chitchat.described.careful import CAREFUL, pull_fields
from scapy_chitchat.described.codes import STREAM_LIMIT
from scapy_chitchat.described.conditions import ABSENT, When, condition, inner, is_in
from scapy_chitchat.described.cursor import BreakOff, Cursor, LenientSink, Scope, Sink
from scapy_chitchat.described.facts import FACTS, Facts
from scapy_chitchat.described.fields import BYTES, KnownByteField, PackedField, TagField, UnpackError
from scapy_chitchat.described.kinds import FieldValue, place_of

FAST_READ_FAILED = (struct.error, ValueError, LookupError)
"""What a compiled reader raises where the bytes are not as a node would write them."""


class StuckError(ValueError):
    """A compiled reader met something odd in the item at ``pos``; ``items`` are those before it.

    ``carried``: the values of the section that they end in.
    """

    def __init__(self, items: list[object], pos: int, carried: tuple[object, ...] = ()) -> None:
        super().__init__(pos)
        self.items = items
        self.pos = pos
        self.carried = carried


def _as_list(pkt: Packet | None, x: object) -> object:
    """A list from a list, a tuple or one element; the packets in it are told where they are."""
    if x is None or x is ABSENT or isinstance(x, RawVal):
        return x
    items = x if isinstance(x, list) else list(x) if isinstance(x, tuple) else [x]
    for item in items:
        if isinstance(item, Packet) and pkt is not None:
            item.add_parent(pkt)
    return items


Splitter = Callable[[bytes], Sequence["tuple[int, bytes]"]]
"""The blocks, as type and data, into which a writer cuts a stream, without the closing one."""


class BlocksField(Field[FieldValue, bytes]):
    """The blocks of a compressed stream as they are on the wire, to the first for which ``last`` holds.

    Unpacked and put together they hold the items of field ``holds``. None means made from those items by a node's own
    rule, which is ``split``. A block is its type, and, but for the last one, a length and the packed data.
    """

    __slots__ = ["block", "data", "holds", "kind", "last", "length", "split"]
    islist = 1
    holds_packets = 1

    def __init__(
        self, name: str, default: None, block: type[Packet], *, holds: str, last: When, split: Splitter
    ) -> None:
        super().__init__(name, default)
        self.block = block
        self.holds = holds
        self.last = last
        self.split = split
        self.kind, self.length, self.data = _parts_of_block(block, last)

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> list[object]:
        """The blocks. What they hold is left in the scope for the field that they hold."""
        blocks: list[object] = []
        scope.values[self.name] = blocks
        held = scope.held[self.holds] = HeldStream(self, cursor)
        finished = False
        while not finished:
            values: dict[str, object] = {}
            within = Scope(values, scope)
            at = cursor.pos
            try:
                pull_fields(self.block, cursor, within, sink)
            except BreakOff as trouble:
                made = partial(sink.make_block, self.block, values)
                _keep_what_was_read(blocks, made, values, sink, trouble, cursor)
                raise
            blocks.append(sink.make_block(self.block, values))
            finished = self.last.in_scope(within)
            if not finished:
                held.add(within, at)
        held.end = cursor.pos
        return blocks

    def any2i(self, pkt: Packet | None, x: object) -> object:
        """A list from a list or one block."""
        return _as_list(pkt, x)

    def i2repr(self, pkt: Packet | None, x: object) -> str:
        """The blocks."""
        return repr(x)

    def addfield(self, pkt: Packet, s: bytes, val: object) -> bytes:
        """The blocks as set, or those that a node would make of the items."""
        return s + (self.encode(self.measure(pkt)) if val is None else items_bytes(val))

    def measure(self, pkt: Packet) -> bytes:
        """The items' bytes, one after the other."""
        _, items = pkt.getfield_and_val(self.holds)
        return items_bytes(items)

    def make(self, stream: bytes) -> list[Packet]:
        """A stream of items as the blocks that a node would make of it, the closing one included."""
        kind, data = self.kind.name, self.data.name
        blocks: list[dict[str, FieldValue]] = [
            *({kind: int(kind_of), data: packed} for kind_of, packed in self.split(stream)),
            {kind: self.last.equals},
        ]
        return [self.block(**values) for values in blocks]

    def encode(self, stream: bytes) -> bytes:
        """The bytes of those blocks."""
        pack = self.length.struct.pack
        blocks = [bytes((kind_of,)) + pack(len(data)) + data for kind_of, data in self.split(stream)]
        return b"".join([*blocks, bytes((self.last.equals,))])


def _parts_of_block(block: type[Packet], last: When) -> tuple[KnownByteField, FieldLenField, PackedField]:
    """Type, length and data. Raises TypeError for a block that is made otherwise, or that cannot always be unpacked."""
    parts = list(map(inner, block.fields_desc))
    if [type(part) for part in parts] != [KnownByteField, FieldLenField, PackedField]:
        raise TypeError(f"{block.__name__}: a block is a KnownByteField, a FieldLenField and a PackedField")
    kind, length, data = cast(tuple[KnownByteField, FieldLenField, PackedField], tuple(parts))  # as just looked at
    if not kind.breaks or last.field != kind.name:
        raise TypeError(f"{place_of(kind, block)}: what breaks off where it is unknown, and says which block is last")
    if (data.length_from, length.length_of) != (length.name, data.name):
        raise TypeError(f"{place_of(length, block)}: is not the length of {data.name}")
    for field in block.fields_desc[1:]:
        when = condition(field, block)
        if when is None or any(when.holds(value) == last.holds(value) for value in kind.i2s):
            raise TypeError(f"{place_of(field, block)}: not there exactly when the block is not the last")
    return kind, length, data


def items_bytes(items: FieldValue) -> bytes:
    """The bytes of the packets in a list, one after the other. Raises ValueError for what is no packet and no bytes."""
    return bytes(items) if isinstance(items, RawVal) else b"".join(map(_item_bytes, items or ()))


def _item_bytes(item: FieldValue) -> bytes:
    if hasattr(type(item), "item_bytes"):
        return item.item_bytes()  # type: ignore[no-any-return]
    if not isinstance(item, (Packet, RawVal, *BYTES)):
        raise ValueError(f"{item!r} is no packet")
    return bytes(item)


class HeldStream:
    """What the blocks of a field hold, as far as it could be decompressed, and where the blocks stand."""

    __slots__ = ("cursor", "data", "end", "field", "start", "trouble")

    def __init__(self, field: BlocksField, cursor: Cursor) -> None:
        self.field = field
        self.cursor = cursor
        self.start = self.end = cursor.pos
        self.data = bytearray()
        self.trouble: BreakOff | None = None

    def add(self, scope: Scope, at: int) -> None:
        """Add what the block at byte ``at`` holds. Raises BreakOff where a strict reader must stop."""
        if self.trouble:
            return
        try:
            self.data += self.field.data.unpacked(scope)
        except UnpackError as error:
            self.stop(self.field.data.refused_as, f"{self.field.holds}: {error}", at)
        if len(self.data) > self.cursor.limit:
            del self.data[self.cursor.limit :]
            reason = f"{self.field.holds} holds more than {self.cursor.limit:,} bytes, the rest is left"
            self.stop(STREAM_LIMIT, reason, at)

    def stop(self, code: str, reason: str, at: int) -> None:
        """Nothing after this can be joined to the stream."""
        self.trouble = self.cursor.break_off(code, reason, at)
        if self.cursor.strict:
            raise self.trouble
        self.cursor.note(self.trouble)


def _keep_what_was_read(
    items: list[object],
    made: Callable[[], object],
    values: dict[str, object],
    sink: Sink,
    trouble: BreakOff,
    cursor: Cursor,
) -> None:
    """Put the readable start of a broken item into its list, as it is ``made``, and the rest behind it."""
    if any(value is not ABSENT for value in values.values()):
        items.append(made())
    rest = sink.leftover(trouble, cursor.data[cursor.pos :])
    if rest is not None:
        items.append(rest)
        cursor.rest()
        trouble.placed = True


class ItemsField(PacketListField):
    """A list of items of one layer, or of several told apart by their first byte.

    Where ``blocks_from`` names a field that is on the wire, the items are what its blocks hold and take no bytes of
    their own; otherwise they stand here, as many as ``count_from`` says. ``in_version`` has the layers of the items in
    messages whose header has another ``version`` than those that ``layers`` are for: an item has no conditions, so
    that one straight run of code can read it. More items than ``most`` are not read.

    An item of layer ``section`` opens a section: those behind it are about the same thing, which its fields
    ``carried`` name. So what is made of them can say it as well.

    Raises TypeError for layers that cannot be items, or cannot have what is carried.
    """

    __slots__ = ["blocks_from", "by_tag", "carried", "in_version", "layers", "most", "refused_as", "section"]
    count_from: str | None  # type: ignore[assignment]  # Scapy's is a function, which no program can read

    def __init__(
        self,
        name: str,
        layers: Sequence[type[Packet]],
        *,
        blocks_from: str = "",
        count_from: str | None = None,
        refused_as: str = "",
        in_version: Mapping[int, Sequence[type[Packet]]] | None = None,
        most: int = sys.maxsize,
        section: type[Packet] | None = None,
        carried: Sequence[str] = (),
    ) -> None:
        super().__init__(name, [], layers[0])
        self.layers = tuple(layers)
        self.by_tag = _layers_by_tag(name, layers)
        self.blocks_from = blocks_from
        self.count_from = count_from
        self.refused_as = refused_as
        self.most = most
        self.section = section
        self.carried = tuple(carried)
        _check_carried(self)
        self.in_version: dict[int, ItemsField] = {
            int(version): ItemsField(
                name,
                others,
                blocks_from=blocks_from,
                count_from=count_from,
                refused_as=refused_as,
                most=most,
                section=_of_the_same_tag(section, others),
                carried=carried,
            )
            for version, others in (in_version or {}).items()
        }
        if self.by_tag and not refused_as:
            raise TypeError(f"{name}: refused_as must say which finding an unknown tag is")

    def in_messages_of(self, version: int | None) -> ItemsField:
        """The field as it is in messages of a version; None where there is no header that says so."""
        return self if version is None else self.in_version.get(version, self)

    def carried_by(self, layer: type[Packet]) -> tuple[str, ...]:
        """What an item of ``layer`` says of the section that it stands in."""
        return () if layer is self.section else self.carried

    def all_layers(self) -> list[type[Packet]]:
        """The layers of the items in all versions."""
        return list(
            dict.fromkeys([*self.layers, *(each for other in self.in_version.values() for each in other.layers)])
        )

    def any2i(self, pkt: Packet | None, x: object) -> FieldValue:
        """A list from a list or one item; None is no items."""
        return [] if x is None else _as_list(pkt, x)

    def i2count(self, pkt: Packet | None, val: object) -> int:
        """How many items there are."""
        return len(val) if isinstance(val, list) else 0

    def i2repr(self, pkt: Packet | None, x: object) -> str:
        """The items."""
        return repr(x)

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> list[object]:
        """The items; behind the last readable one what the sink makes of the rest."""
        items_of = self.in_messages_of(scope.get(VERSION))
        held = scope.held.get(self.name)
        if held is None:
            count = None if self.count_from is None else scope.get(self.count_from)
            return items_of._pull_items(cursor, scope, sink, count)
        within = Cursor(bytes(held.data), stream=self.name, strict=cursor.strict, refusals=cursor.refusals)
        try:
            items = items_of._pull_items(within, scope, sink, None)
        except BreakOff:
            if cursor.strict:
                raise
            return scope.values[self.name]  # type: ignore[no-any-return]
        if held.trouble:
            items.append(sink.leftover(held.trouble, b""))
        return items

    def _pull_items(self, cursor: Cursor, scope: Scope, sink: Sink, count: int | None) -> list[object]:
        items: list[object] = []
        scope.values[self.name] = items
        carried: tuple[object, ...] = (None,) * len(self.carried)
        while True:
            left = None if count is None else count - len(items)
            read = cast(LenientSink, sink).read_list_leniently if cursor.refusals else sink.read_list
            try:
                rest, cursor.pos = read(self, cursor.data, cursor.pos, left, carried)
                items += rest
                return items
            except StuckError as stuck:
                items += stuck.items
                cursor.pos = stuck.pos
                carried = stuck.carried
            item, carried = self._pull_carefully(cursor, scope, sink, items, carried)
            items.append(item)

    def _pull_carefully(
        self, cursor: Cursor, scope: Scope, sink: Sink, items: list[object], carried: tuple[object, ...]
    ) -> tuple[object, tuple[object, ...]]:
        """One item, behind those in ``items``, which get what can be read of it where it breaks off.

        Also what the items behind it carry.
        """
        values: dict[str, object] = {}
        layer = self.layers[0]
        try:
            if len(items) >= self.most:
                raise cursor.break_off(STREAM_LIMIT, f"{self.name} has more than {self.most:,} items")
            layer = self.layer_at(cursor)
            pull_fields(layer, cursor, Scope(values, scope), sink)
        except BreakOff as trouble:
            if not cursor.strict:
                cursor.note(trouble)
                made = partial(sink.make, self, layer, values, carried)
                _keep_what_was_read(items, made, values, sink, trouble, cursor)
            raise
        if layer is self.section:
            carried = tuple(values[name] for name in self.carried)
        return sink.make(self, layer, values, carried), carried

    def layer_at(self, cursor: Cursor) -> type[Packet]:
        """The layer of the item that starts here. Raises BreakOff where its first byte is unknown."""
        if not self.by_tag:
            return self.layers[0]
        tag = cursor.data[cursor.pos]
        if tag not in self.by_tag:
            known = ", ".join(f"{number} ({layer.__name__})" for number, layer in self.by_tag.items())
            raise cursor.break_off(self.refused_as, f"tag {tag}; a node knows {known}")
        return self.by_tag[tag]

    def addfield(self, pkt: Packet, s: bytes, val: object) -> bytes:
        """The items' bytes, unless they are in the blocks."""
        in_blocks = self.blocks_from and is_in(pkt.get_field(self.blocks_from), pkt)
        return s if in_blocks else s + items_bytes(val)


VERSION = "version"
"""The field of a message's header by which its body, or an item's layer, may differ."""


def _layers_by_tag(name: str, layers: Sequence[type[Packet]]) -> dict[int, type[Packet]]:
    """The layers by the values of their first fields, where these are tags.

    Raises TypeError where layers cannot be told apart, or where one could not be read straight through.
    """
    for layer in layers:
        for field in layer.fields_desc:
            if condition(field, layer) is not None:
                reason = f"items of {name} have no conditions; give the field another layer by in_version"
                raise TypeError(f"{place_of(inner(field), layer)}: {reason}")
    tags = {layer: layer.fields_desc[0] for layer in layers if FACTS.of(layer.fields_desc[0], layer).is_tag}
    by_tag = {int(cast(TagField, tag).default): layer for layer, tag in tags.items()}
    if len(by_tag) != len(layers) and (by_tag or len(layers) > 1):
        raise TypeError(f"{name}: its layers are not told apart by a TagField in front, each with a default of its own")
    return by_tag


def _of_the_same_tag(section: type[Packet] | None, layers: Sequence[type[Packet]]) -> type[Packet] | None:
    """The layer that opens sections in another version."""
    if section is None:
        return None
    return next((each for each in layers if each.fields_desc[0].default == section.fields_desc[0].default), None)


def _check_carried(field: ItemsField) -> None:
    """Raises TypeError where the section is no layer of the list, or what is carried is not its own alone."""
    if field.section not in (None, *field.layers):
        raise TypeError(f"{field.name}: the section {field.section} is none of its layers")
    for layer in field.layers:
        own = {each.name for each in layer.fields_desc}
        for name in field.carried:
            if (name in own) != (layer is field.section):
                raise TypeError(f"{layer.__name__}.{name}: {field.name} carries what the section has, and it alone")


CAREFUL.add(BlocksField.pull, BlocksField)
CAREFUL.add(ItemsField.pull, ItemsField)
FACTS.add(
    Facts[BlocksField](
        measured_by=lambda field: field.holds, codes=lambda field: (STREAM_LIMIT,), blocks=lambda field: [field.block]
    ),
    BlocksField,
)
FACTS.add(
    Facts[ItemsField](
        needs=lambda field: (field.count_from,) if field.count_from else (),
        codes=lambda field: (STREAM_LIMIT, *((field.refused_as,) if field.refused_as else ())),
        items=lambda field: field.all_layers(),
        in_version=lambda field, version: field.in_messages_of(version),
    ),
    ItemsField,
)
