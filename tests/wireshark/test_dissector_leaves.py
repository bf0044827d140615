# SPDX-License-Identifier: GPL-2.0-or-later
"""tshark shows the same fields, with the same bytes, in the same order as the Scapy layers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from scapy.packet import Packet

from scapy_chitchat.capture import read_messages
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.lists import BlocksField, items_bytes
from scapy_chitchat.described.lua_source import snake_case
from scapy_chitchat.wire.layers import ITEMS, Chitchat
from tests.support.tsharks import (
    EVERY_DATAGRAM,
    Leaf,
    Tshark,
    dissected,
    every_tshark,
    first_difference,
    scapy_leaves,
    tshark_leaves,
    write_capture,
)

JSON = ("-T", "json", "-x", "-J", "frame chitchat")


@lru_cache(maxsize=4)
def shown_by(tshark: Tshark, capture: Path) -> dict[int, list[Leaf]]:
    """The leaves of every message, by frame."""
    return {frame: list(tshark_leaves(tree)) for frame, tree in dissected(tshark.run(capture, *JSON, *EVERY_DATAGRAM))}


@every_tshark
def test_every_message_has_the_leaves_that_scapy_shows(tshark: Tshark, capture: Path, tmp_path: Path) -> None:
    shown = shown_by(tshark, capture)
    messages = list(read_messages(capture))
    assert [message.frame for message in messages] == sorted(shown)
    for message in messages:
        expected = list(scapy_leaves(Chitchat(message.data)))
        assert not first_difference(shown[message.frame], expected), f"frame {message.frame}"


@every_tshark
def test_leaves_tile_the_message_and_its_streams(tshark: Tshark, capture: Path) -> None:
    shown = shown_by(tshark, capture)
    for message in read_messages(capture):
        leaves = shown[message.frame]
        held = set(names_in_streams(Chitchat(message.data)))
        in_message = b"".join(data for name, data in leaves if name.rpartition(".")[0] not in held)
        in_streams = b"".join(data for name, data in leaves if name.rpartition(".")[0] in held)
        assert in_message == message.data, f"frame {message.frame}"
        assert in_streams == b"".join(streams(Chitchat(message.data).payload)), f"frame {message.frame}"


def _lists_in_blocks(body: Packet) -> Iterator[str]:
    for field in map(inner, body.fields_desc):
        if isinstance(field, BlocksField) and body.getfieldval(field.name) is not None:
            yield field.holds


def streams(body: Packet) -> Iterator[bytes]:
    """What the streams of a message hold."""
    for name in _lists_in_blocks(body):
        yield items_bytes(body.getfieldval(name))


def names_in_streams(packet: Packet) -> Iterator[str]:
    """The first part of the names of fields that stand in streams."""
    in_blocks = set(_lists_in_blocks(packet.payload))
    for layer in ITEMS:
        if ("digest" if layer.__name__ == "NodeDigest" else "delta") in in_blocks:
            yield f"chitchat.{snake_case(layer.__name__)}"


@pytest.mark.long
@every_tshark
def test_broken_messages_are_shown_as_far_as_scapy_shows_them(
    tshark: Tshark, verdicts: list[dict[str, Any]], tmp_path: Path
) -> None:
    messages = [bytes.fromhex(row["hex"]) for row in verdicts]
    shown = shown_by(tshark, write_capture(tmp_path / "verdicts.pcap", messages))
    for number, data in enumerate(messages, 1):
        if data:  # of an empty datagram UDP tells nobody
            expected = list(scapy_leaves(Chitchat(data)))
            assert not first_difference(shown[number], expected), data.hex()


@pytest.mark.parametrize("port", [7280, 4444])
@every_tshark
def test_what_a_stream_holds_can_be_left_packed(tshark: Tshark, port: int, tmp_path: Path) -> None:
    message = Path(__file__).parents[2] / "pcaps" / "v1-five-nodes.pcap"
    data = [each.data for each in read_messages(message)][4]
    capture = write_capture(tmp_path / "one.pcap", [data], port=port)
    output = tshark.run(capture, *JSON, "-o", "chitchat.decompress:FALSE")
    ((_, tree),) = dissected(output)
    names = {name for name, _ in tshark_leaves(tree)}
    assert "chitchat.block.data" in names
    assert not any(name.startswith(("chitchat.node", "chitchat.key")) for name in names)
