# SPDX-License-Identifier: GPL-2.0-or-later
"""Strategies whose messages are not what they should be: lengths that lie, odd frames, changed and missing bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import zstandard
from scapy.packet import Packet, fuzz

from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.facts import measured_by
from scapy_chitchat.described.kinds import FieldValue
from scapy_chitchat.described.lists import BlocksField, items_bytes
from scapy_chitchat.described.unbuildable import UnbuildableError
from scapy_chitchat.fuzz.building import key_values, ordinary, section, version_of
from scapy_chitchat.fuzz.draw import LENGTHS, PEOPLE, Draw
from scapy_chitchat.fuzz.registry import CaseMessages, strategy
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.makers import item_bytes
from scapy_chitchat.wire.layers import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
)
from scapy_chitchat.wire.protocol import MAX_BLOCK_OUTPUT, MAX_DATAGRAM, BlockType


def _base(draw: Draw) -> bytes:
    """A message to change: a captured one, or one as a node sends it."""
    captured = draw.context.captured
    return draw.pick(captured) if captured and draw.chance(80) else encode(ordinary(draw))


def _built(pkt: Packet) -> CaseMessages:
    """The bytes of a packet, if there can be any, and a datagram can hold them."""
    try:
        data = bytes(pkt)
    except UnbuildableError:
        return ()
    return (data,) if len(data) <= MAX_DATAGRAM else ()


# --- by Scapy ---


@strategy(share=1)
def scapy_fuzz(draw: Draw, number: int) -> CaseMessages:
    """Scapy's own fuzz() on bodies, digest entries and operations, behind a whole header."""
    before = random.getstate()
    random.seed(draw.bits(64))  # where Scapy's volatile values come from
    try:
        digest = [fuzz(NodeDigest()) for _ in range(draw.below(4))]
        ops = [fuzz(draw.pick((KeyValueOp, KeyValueOp, SetMaxVersionOp))()) for _ in range(draw.below(4))]
        delta = [fuzz(NodeOp()), *ops]
        body = draw.pick((ChitchatSyn, ChitchatSynAck, ChitchatAck))
        values: dict[str, FieldValue] = {"digest": digest, "delta": delta, "cluster_id": draw.context.cluster_id}
        made = body(**{name: value for name, value in values.items() if name in body().fieldtype})
        return _built(Chitchat(version=version_of(draw)) / made)
    finally:
        random.setstate(before)


# --- lies ---


@strategy(share=3)
def lengths(draw: Draw, number: int) -> CaseMessages:
    """Lengths and counts that lie."""
    pkt = Chitchat(_base(draw))
    lies = list(_computed(pkt))
    if not lies:
        return ()
    layer, name = draw.pick(lies)
    now = layer.getfieldval(name)
    layer.setfieldval(name, draw.pick((*LENGTHS, max(now - 1, 0), min(now + 1, 65535), draw.below(65536))))
    return _built(pkt)


def _computed(pkt: Packet) -> Iterator[tuple[Packet, str]]:
    """Every length and count in a message, with its layer."""
    for layer in _layers(pkt):
        for field in layer.fields_desc:
            bare = inner(field)
            if measured_by(bare) and isinstance(layer.getfieldval(field.name), int):
                yield layer, field.name


def _layers(pkt: Packet) -> Iterator[Packet]:
    yield pkt
    if not pkt.payload:
        return
    yield pkt.payload
    for name in ("digest_blocks", "digest", "delta_blocks", "delta"):
        if name in pkt.payload.fieldtype:
            value = pkt.payload.getfieldval(name)
            yield from value if isinstance(value, list) else ()


@strategy(share=4)
def truncation(draw: Draw, number: int) -> CaseMessages:
    """A message cut at every byte, one case after the other, and then another message."""
    whole = _base(draw.shared(number, CUTS))
    cut = number % CUTS + CUTS * draw.below(len(whole) // CUTS + 1)
    return (whole[: cut % (len(whole) + 1)],)


CUTS = 256
"""Cases in a row that cut the same message. A longer one is cut at so many of its bytes."""


# --- blocks ---


@strategy(share=3)
def blocks(draw: Draw, number: int) -> CaseMessages:
    """Streams in other blocks and frames than a node writes: several frames, checksums, bombs, windows, bad blocks."""
    identity = draw.pick(PEOPLE)
    ops = section(identity, key_values(draw, 6))
    stream = b"".join(map(item_bytes, ops))
    made = _cut(draw, stream) if draw.chance(60) else [_packed(draw, stream)]
    if draw.chance(20):
        made += _bomb(draw)
    if draw.chance(25):
        wrong = _block(draw.pick((0, 1, 2, 3, 255)), draw.data(draw.below(8)))
        made.insert(draw.below(len(made) + 1), wrong)
    if draw.chance(90):
        made.append(_block(BlockType.NoMoreBlocks))
    wire = b"".join(made)
    known = NodeDigest(node_id=identity.node_id, generation_id=identity.generation_id, ip="127.66.1.1", port=9)
    if draw.chance(30):
        return _built(Chitchat(version=1) / ChitchatSyn(digest_blocks=wire, cluster_id=draw.context.cluster_id))
    return _built(Chitchat() / ChitchatSynAck(digest=[known], delta_blocks=wire))


def _block(kind: int, data: bytes = b"") -> bytes:
    return bytes(Block(type=kind, data=data))


def _cut(draw: Draw, stream: bytes) -> list[bytes]:
    """The stream in pieces of any size, so that items straddle blocks."""
    made = []
    for _ in range(draw.between(1, 8)):
        size = draw.pick((1, 2, 7, 40, 300, 20000))
        piece, stream = stream[:size], stream[size:]
        made.append(_packed(draw, piece) if draw.chance(50) else _block(BlockType.Uncompressed, piece))
    return [*made, _block(BlockType.Uncompressed, stream)] if stream else made


_SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
_WIDE_WINDOW = b"\x28\xb5\x2f\xfd\0%c\x01\0\0"
"""An empty frame; the byte is its window's size."""


def _packed(draw: Draw, stream: bytes) -> bytes:
    """One compressed block, in frames as no node writes them."""
    kind = draw.below(9)
    window = draw.pick((10, 17, 21)) if kind == 2 else 0
    compress = _compressor(draw.pick((-5, 1, 3, 9)), kind == 0, kind != 1, window).compress
    frames = compress(stream)
    half = draw.below(len(stream) + 1)
    if kind == 3:
        frames = compress(stream[:half]) + compress(stream[half:])
    elif kind == 4:
        frames = _SKIPPABLE + frames + _SKIPPABLE
    elif kind == 5:
        frames = _changed(draw, frames)
    elif kind == 6:
        frames = frames[: draw.below(len(frames) + 1)]
    elif kind == 7:
        frames = _WIDE_WINDOW % draw.below(256) + frames
    return _block(BlockType.Compressed, frames)


@cache
def _compressor(level: int, checksum: bool, content_size: bool, window: int) -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, write_checksum=checksum, write_content_size=content_size, window_log=window
    )
    return zstandard.ZstdCompressor(compression_params=parameters)


def _bomb(draw: Draw) -> list[bytes]:
    """Blocks that grow as much as a block can, up to hundreds of them."""
    unit = draw.pick((b"\0" * 9, bytes(SetMaxVersionOp(max_version=7)), bytes(KeyValueOp(version=7)), b"\x02" * 9))
    frame = _compressor(3, False, True, 0).compress(unit * ((MAX_BLOCK_OUTPUT + draw.below(2)) // len(unit)))
    most = 60000 // (len(frame) + 3)
    count = min(most, 300) if draw.chance(3) else draw.pick((1, 1, 2, 2, 3, 3, 8, 20))
    return [_block(BlockType.Compressed, frame)] * count


# --- bytes ---


@strategy(share=6)
def mutation(draw: Draw, number: int) -> CaseMessages:
    """Bytes changed in a message, or in what its blocks hold."""
    data = _base(draw)
    if draw.chance(50):
        return _in_the_stream(draw, data)
    for _ in range(draw.between(1, 3)):
        data = draw.pick((_changed, _changed, _overwritten, _grown))(draw, data)
    return (data[:MAX_DATAGRAM],)


def _in_the_stream(draw: Draw, data: bytes) -> CaseMessages:
    """Bytes of a decompressed stream changed, and packed again as a node would."""
    pkt = Chitchat(data)
    fields = [inner(field) for field in pkt.payload.fields_desc]
    # a list of blocks of whatever class has a stream to change
    found = [field for field in fields if isinstance(field, BlocksField) and getattr(pkt.payload, field.holds, None)]
    if not found:
        return (_changed(draw, data),)
    field = draw.pick(found)
    stream = items_bytes(getattr(pkt.payload, field.holds))
    changed = draw.pick((_changed, _overwritten, _grown))(draw, stream)
    pkt.payload.setfieldval(field.name, field.make(changed))
    return _built(pkt)


def _changed(draw: Draw, data: bytes) -> bytes:
    """A byte or two changed."""
    out = bytearray(data or b"\0")
    for _ in range(draw.between(1, 2)):
        out[draw.below(len(out))] = draw.pick((0, 1, 2, 3, 4, 6, 127, 128, 255, draw.below(256)))
    return bytes(out)


def _overwritten(draw: Draw, data: bytes) -> bytes:
    """Neighbouring bytes overwritten, as if they were a number."""
    size = draw.pick((2, 2, 8))
    place = draw.below(max(1, len(data) - size + 1))
    number = draw.pick(LENGTHS) if size == 2 else draw.number()
    return data[:place] + number.to_bytes(size, "little") + data[place + size :]


def _grown(draw: Draw, data: bytes) -> bytes:
    """A piece of the message repeated, or bytes put in or taken out."""
    place, end = draw.below(len(data) + 1), draw.below(len(data) + 1)
    kind = draw.below(3)
    if kind == 0:
        return data[:place] + data[end : end + 100] + data[place:]
    return data[:place] + (draw.data(draw.between(1, 9)) if kind == 1 else b"") + data[place + draw.below(3) :]
