# SPDX-License-Identifier: GPL-2.0-or-later
"""Small protocols, described as chitchat is: one greeting, changed in one place at a time.

What follows a change must be in every derived part: Scapy, records, JSON, the dissector. A greeting is a header, a list
of words (in V0 behind its count, later in blocks), and whose greeting it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from scapy.fields import ConditionalField, FieldLenField, LELongField
from scapy.packet import Packet, bind_layers

from scapy_chitchat.described.conditions import Unless, When
from scapy_chitchat.described.fields import (
    KnownByteField,
    MagicField,
    PackedField,
    StringField,
    Unpacker,
    UnpackError,
    as_is,
)
from scapy_chitchat.described.lists import BlocksField, ItemsField
from scapy_chitchat.described.lua_model import Description
from scapy_chitchat.described.packet import WirePacket
from scapy_chitchat.records.checks import CODES
from scapy_chitchat.wireshark.chitchat import PARTS

PORT = 7777


class Version(IntEnum):
    V0 = 0
    V1 = 1
    V2 = 2


class Block(IntEnum):
    End = 0
    Raw = 1


class MoreBlocks(IntEnum):
    End = 0
    Raw = 1
    Runs = 2


class Why(IntEnum):
    Asked = 0
    Timer = 1


def layer(name: str, *fields: Any) -> type[WirePacket]:
    """A layer with these fields."""
    made: Any = type(WirePacket)
    return made(name, (WirePacket,), {"name": name, "fields_desc": list(fields)})  # type: ignore[no-any-return]


def string(name: str) -> list[Any]:
    """A string behind its length."""
    return [
        FieldLenField(f"{name}_len", None, length_of=name, fmt="<H"),
        StringField(name, "", length_from=f"{name}_len"),
    ]


def word(name: str, *more: Any) -> type[WirePacket]:
    """An item of the list."""
    return layer(name, *string("text"), LELongField("count", 0), *more)


def unpack_runs(data: bytes) -> bytes:
    """What pairs of a number and a byte stand for."""
    if len(data) % 2:
        raise UnpackError("half a pair")
    return b"".join(data[at + 1 : at + 2] * data[at] for at in range(0, len(data), 2))


UNPACK_RUNS_IN_LUA = """
local function unpack_runs(data)
  local parts = {}
  for at = 1, #data, 2 do
    parts[#parts + 1] = string.rep(sub(data, at + 1, at + 1), byte(data, at))
  end
  return concat(parts)
end
"""


def as_pairs(data: bytes) -> bytes:
    """Bytes packed for ``unpack_runs``."""
    return b"".join(bytes((1, value)) for value in data)


@dataclass(frozen=True)
class Toy:
    """A protocol of greetings."""

    root: Any
    greeting: Any
    word: Any
    block: Any

    def message(self, version: int = 0, **values: Any) -> Packet:
        """A greeting."""
        return self.root(version=version) / self.greeting(**values)  # type: ignore[no-any-return]


def toy(
    *more: Any,
    in_version: Mapping[int, Sequence[type[Packet]]] | None = None,
    block_types: type[IntEnum] = Block,
    packings: Mapping[int, Unpacker] | None = None,
) -> Toy:
    """The protocol with ``more`` fields in its greeting, other words in some versions, other types of blocks."""
    not_last = Unless("type", 0)
    entry = word("Word")
    packed = PackedField(
        "data",
        b"",
        length_from="len",
        packed_as="type",
        packings={Block.Raw: as_is} if packings is None else packings,
        refused_as="bad-zstd",
    )
    block = layer(
        "Block",
        KnownByteField("type", 1, block_types, refused_as="bad-block-type", breaks=True),
        ConditionalField(FieldLenField("len", None, length_of="data", fmt="<H"), not_last),
        ConditionalField(packed, not_last),
    )
    blocks = BlocksField(
        "blocks", None, block, holds="words", last=When("type", 0), split=lambda stream: [(1, stream)] if stream else []
    )
    greeting = layer(
        "Greeting",
        ConditionalField(FieldLenField("words_count", None, count_of="words", fmt="<H"), When("version", 0)),
        ConditionalField(blocks, Unless("version", 0)),
        ItemsField("words", [entry], count_from="words_count", blocks_from="blocks", in_version=in_version),
        *string("who"),
        *more,
    )
    root = layer(
        "Header",
        MagicField("magic", 0x7954, room=3, short_as="too-short", refused_as="bad-magic"),
        KnownByteField("version", 0, Version, short_as="too-short", refused_as="bad-version"),
        KnownByteField("type", None, {5: "Greeting"}, short_as="bad-type", refused_as="bad-type"),
    )
    bind_layers(root, greeting, type=5)
    return Toy(root, greeting, entry, block)


def description(of: Toy, folder: Path, **more: Any) -> Description:
    """What a dissector of it is made from; the hand-written parts are copied into ``folder``."""
    for part in PARTS.glob("*.lua"):
        shutil.copy(part, folder)
    (folder / "runs.lua").write_text(UNPACK_RUNS_IN_LUA)
    return Description(
        name="Toy",
        title="Toy Greetings",
        abbreviation="toy",
        root=of.root,
        ports=str(PORT),
        written_by="pytest",
        parts=folder,
        codes={code: (known.severity, known.text) for code, known in CODES.items()},
        libraries=["zstd"],
        finish=["report_remarks(message)"],
        **{"before": ["runs"], **more},
    )
