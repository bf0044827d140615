# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields that hold lists of packets: items, and the blocks of a compressed stream.

A list is read by its compiled reader (compiler.py). Where that is stuck, the one item is read carefully, field by
field, and the compiled reader goes on behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, cast

from scapy.fields import Field, PacketListField, RawVal
from scapy.packet import Packet

from scapy_chitchat.described.cursor import BreakOff, Cursor, Scope
from scapy_chitchat.described.fields import (
    ABSENT,
    BYTES,
    LenientSink,
    PackedField,
    Sink,
    TagField,
    When,
    condition,
    inner,
    pull_fields,
)
from scapy_chitchat.wire.protocol import MOST_ITEMS
from scapy_chitchat.wire.stream import ZstdError, split_stream

FAST_READ_FAILED = (struct.error, ValueError, LookupError)
"""What a compiled reader raises where the bytes are not as a node would write them."""


class StuckError(ValueError):
    """A compiled reader met something odd in the item at ``pos``; ``items`` are those before it."""

    def __init__(self, items: list[Any], pos: int) -> None:
        super().__init__(pos)
        self.items = items
        self.pos = pos


def _as_list(pkt: Packet | None, x: Any) -> Any:
    """A list from a list, a tuple or one element; the packets in it are told where they are."""
    if x is None or x is ABSENT or isinstance(x, RawVal):
        return x
    items = x if isinstance(x, list) else list(x) if isinstance(x, tuple) else [x]
    for item in items:
        if isinstance(item, Packet) and pkt is not None:
            item.add_parent(pkt)
    return items


class BlocksField(Field[Any, bytes]):
    """The blocks of a compressed stream as they are on the wire, to the first for which ``last`` holds.

    Decompressed and put together they hold the items of field ``holds``. None means made from those items by a node's
    own rule.
    """

    __slots__ = ["block", "holds", "last"]
    islist = 1
    holds_packets = 1
    block: Any

    def __init__(self, name: str, default: None, block: type[Packet], *, holds: str, last: When) -> None:
        super().__init__(name, default)
        self.block = block
        self.holds = holds
        self.last = last

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> list[Any]:
        """The blocks. What they hold is left in the scope for the field that they hold."""
        blocks: list[Any] = []
        scope.values[self.name] = blocks
        held = scope.held[self.holds] = HeldStream(self, cursor)
        finished = False
        while not finished:
            values: dict[str, Any] = {}
            within = Scope(values, scope)
            at = cursor.pos
            try:
                pull_fields(self.block, cursor, within, sink)
            except BreakOff as trouble:
                _keep_what_was_read(blocks, self.block, values, sink, trouble, cursor)
                raise
            blocks.append(sink.make(self.block, values))
            finished = self.last.in_scope(within)
            if not finished:
                held.add(within, at)
        held.end = cursor.pos
        return blocks

    def any2i(self, pkt: Packet | None, x: Any) -> Any:
        """A list from a list or one block."""
        return _as_list(pkt, x)

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        """The blocks."""
        return repr(x)

    def addfield(self, pkt: Packet, s: bytes, val: Any) -> bytes:
        """The blocks as set, or those that a node would make of the items."""
        return s + (self.encode(self.measure(pkt)) if val is None else items_bytes(val))

    def measure(self, pkt: Packet) -> bytes:
        """The items' bytes, one after the other."""
        _, items = pkt.getfield_and_val(self.holds)
        return items_bytes(items)

    def make(self, stream: bytes) -> list[Packet]:
        """A stream of items as the blocks that a node would make of it, the closing one included."""
        blocks = [self.block(type=int(kind), data=data) for kind, data in split_stream(stream)]
        return [*blocks, self.block(**{self.last.field: self.last.equals})]

    def encode(self, stream: bytes) -> bytes:
        """The bytes of those blocks."""
        kind, length, _ = map(inner, self.block.fields_desc)
        pack = length.struct.pack
        blocks = [bytes((kind_of,)) + pack(len(data)) + data for kind_of, data in split_stream(stream)]
        return b"".join([*blocks, kind.struct.pack(self.last.equals)])


def items_bytes(items: Any) -> bytes:
    """The bytes of the packets in a list, one after the other. Raises ValueError for what is no packet and no bytes."""
    return bytes(items) if isinstance(items, RawVal) else b"".join(map(_item_bytes, items or ()))


def _item_bytes(item: Any) -> bytes:
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
            parts = map(inner, self.field.block.fields_desc)
            packed = next(part for part in parts if isinstance(part, PackedField))
            self.data += packed.unpacked(scope)
        except ZstdError as error:
            self.stop("bad-zstd", f"{self.field.holds}: {error}", at)
        if len(self.data) > self.cursor.limit:
            del self.data[self.cursor.limit :]
            reason = f"{self.field.holds} holds more than {self.cursor.limit:,} bytes, the rest is left"
            self.stop("stream-limit", reason, at)

    def stop(self, code: str, reason: str, at: int) -> None:
        """Nothing after this can be joined to the stream."""
        self.trouble = self.cursor.break_off(code, reason, at)
        if self.cursor.strict:
            raise self.trouble
        self.cursor.note(self.trouble)


def _keep_what_was_read(
    items: list[Any], layer: type[Packet], values: dict[str, Any], sink: Sink, trouble: BreakOff, cursor: Cursor
) -> None:
    """Put the readable start of a broken item into its list, and the rest behind it."""
    if any(value is not ABSENT for value in values.values()):
        items.append(sink.make(layer, values))
    rest = sink.leftover(trouble, cursor.data[cursor.pos :])
    if rest is not None:
        items.append(rest)
        cursor.rest()
        trouble.placed = True


class ItemsField(PacketListField):
    """A list of items of one layer, or of several told apart by their first byte.

    Where ``blocks_from`` names a field that is on the wire, the items are what its blocks hold and take no bytes of
    their own; otherwise they stand here, as many as ``count_from`` says.
    """

    __slots__ = ["blocks_from", "by_tag", "layers", "refused_as"]
    count_from: Any

    def __init__(
        self,
        name: str,
        layers: Sequence[type[Packet]],
        *,
        blocks_from: str,
        count_from: str | None = None,
        refused_as: str = "bad-tag",
    ) -> None:
        super().__init__(name, [], layers[0])
        self.layers = tuple(layers)
        self.by_tag = {tag.default: layer for layer in layers if isinstance(tag := layer.fields_desc[0], TagField)}
        self.blocks_from = blocks_from
        self.count_from = count_from
        self.refused_as = refused_as

    def any2i(self, pkt: Packet | None, x: Any) -> Any:
        """A list from a list or one item; None is no items."""
        return [] if x is None else _as_list(pkt, x)

    def i2count(self, pkt: Packet | None, val: Any) -> int:
        """How many items there are."""
        return len(val) if isinstance(val, list) else 0

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        """The items."""
        return repr(x)

    def pull(self, cursor: Cursor, scope: Scope, sink: Sink) -> list[Any]:
        """The items; behind the last readable one what the sink makes of the rest."""
        held = scope.held.get(self.name)
        if held is None:
            return self._pull_items(cursor, scope, sink, scope.get(self.count_from))
        within = Cursor(bytes(held.data), stream=self.name, strict=cursor.strict, refusals=cursor.refusals)
        try:
            items = self._pull_items(within, scope, sink, None)
        except BreakOff:
            if cursor.strict:
                raise
            return scope.values[self.name]  # type: ignore[no-any-return]
        if held.trouble:
            items.append(sink.leftover(held.trouble, b""))
        return items

    def _pull_items(self, cursor: Cursor, scope: Scope, sink: Sink, count: int | None) -> list[Any]:
        items: list[Any] = []
        scope.values[self.name] = items
        while True:
            read = cast(LenientSink, sink).read_list_leniently if cursor.refusals else sink.read_list
            try:
                rest, cursor.pos = read(self, cursor.data, cursor.pos, None if count is None else count - len(items))
                items += rest
                return items
            except StuckError as stuck:
                items += stuck.items
                cursor.pos = stuck.pos
            items.append(self._pull_carefully(cursor, scope, sink, items))

    def _pull_carefully(self, cursor: Cursor, scope: Scope, sink: Sink, items: list[Any]) -> Any:
        """One item, behind those in ``items``, which get what can be read of it where it breaks off."""
        values: dict[str, Any] = {}
        layer = self.layers[0]
        try:
            if len(items) >= MOST_ITEMS:
                raise cursor.break_off("stream-limit", f"{self.name} has more than {MOST_ITEMS:,} items")
            layer = self.layer_at(cursor)
            pull_fields(layer, cursor, Scope(values, scope), sink)
        except BreakOff as trouble:
            if not cursor.strict:
                cursor.note(trouble)
                _keep_what_was_read(items, layer, values, sink, trouble, cursor)
            raise
        return sink.make(layer, values)

    def layer_at(self, cursor: Cursor) -> type[Packet]:
        """The layer of the item that starts here. Raises BreakOff where its first byte is unknown."""
        if not self.by_tag:
            return self.layers[0]
        tag = cursor.data[cursor.pos]
        if tag not in self.by_tag:
            known = ", ".join(f"{number} ({layer.__name__})" for number, layer in self.by_tag.items())
            raise cursor.break_off(self.refused_as, f"tag {tag}; a node knows {known}")
        return self.by_tag[tag]

    def addfield(self, pkt: Packet, s: bytes, val: Any) -> bytes:
        """The items' bytes, unless they are in the blocks."""
        when = condition(pkt.get_field(self.blocks_from))
        if when is None or when(pkt):
            return s
        return s + items_bytes(val)
