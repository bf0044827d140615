# SPDX-License-Identifier: GPL-2.0-or-later
"""The layers against captures of real nodes, their verdicts, and a node itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scapy.packet import Packet, Padding, Raw

from scapy_chitchat import (
    Chitchat,
    KeyValueOp,
    Malformed,
    NodeDigest,
    NodeOp,
    read_messages,
)
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.lists import ItemsField
from tests.support.debug_text import as_a_node_keeps_it, parse
from tests.support.packets import NAMES
from tests.support.plain import plain


def from_values_alone(message: Packet) -> Packet:
    """A new message that has this one's values and nothing computed."""
    return Chitchat(version=message.version) / anew(message.payload)


def anew(packet: Packet) -> Packet:
    values: dict[str, Any] = {}
    for field in packet.fields_desc:
        if field.name in packet.fields:
            value = packet.fields[field.name]
            values[field.name] = [anew(item) for item in value] if isinstance(inner(field), ItemsField) else value
    return type(packet)(**values)


def test_every_captured_message_is_read_whole_and_built_again_from_its_values(capture: Path) -> None:
    for captured in read_messages(capture):
        message = Chitchat(captured.data)
        strays = [stray for stray in (Raw, Padding, Malformed) if message.haslayer(stray)]
        assert strays == [], captured.frame
        assert bytes(message) == captured.data, captured.frame
        assert bytes(from_values_alone(message)) == captured.data, captured.frame


def test_the_command_of_every_captured_message_builds_the_same_bytes(capture: Path) -> None:
    for captured in read_messages(capture):
        command = Chitchat(captured.data).command()
        assert "blocks" not in command, captured.frame
        assert bytes(eval(command, NAMES)) == captured.data, captured.frame


def test_every_message_that_the_node_took_shows_the_nodes_values(verdicts: list[dict[str, Any]]) -> None:
    taken = [row for row in verdicts if row["0.13"]]
    assert len(taken) > 1000
    for row in taken:
        message = Chitchat(bytes.fromhex(row["hex"]))
        assert as_a_node_keeps_it(plain(message)) == parse(row["0.13"])
        assert message.trouble is None
        assert message.payload.trouble is None


BY_SEQUENCE = ("kv version should", "received a key-value", "Condition failed")
"""What a node says of operations that are well-formed each, but not as a sequence."""


def test_every_message_that_the_node_refused_says_where_and_why(verdicts: list[dict[str, Any]]) -> None:
    for row in verdicts:
        data = bytes.fromhex(row["hex"])
        if row["0.13"] or row["0.13_error"].startswith(BY_SEQUENCE) or not data:
            continue
        message = Chitchat(data)
        trouble = message.trouble or message.payload.trouble
        assert trouble.code, row["hex"]
        assert trouble.reason, row["hex"]
        assert trouble.offset >= 0, row["hex"]


@pytest.mark.long
def test_every_message_of_the_verdicts_comes_out_as_it_went_in(verdicts: list[dict[str, Any]]) -> None:
    for row in verdicts:
        data = bytes.fromhex(row["hex"])
        if not data:
            continue  # Scapy takes no bytes for a new packet
        message = Chitchat(data)
        assert bytes(message) == data
        assert bytes(message.copy()) == data
        assert bytes(eval(message.command(), NAMES)) == data


def test_what_we_build_of_edited_messages_means_the_same_to_a_node(
    ask_node: Callable[[list[bytes]], list[dict[str, Any]]], captures: list[Path]
) -> None:
    edited = []
    for captured in list(read_messages(captures[0]))[:200]:
        message = Chitchat(captured.data)
        if "digest" in message.payload.fieldtype:
            message.payload.digest.append(NodeDigest(node_id="zzz", generation_id=5, ip="::5", heartbeat=9))
            message.payload.digest[0].node_id += "-longer"
        if "delta" in message.payload.fieldtype:
            message.payload.delta += [NodeOp(node_id="new"), KeyValueOp(key="k", value="é" * 9000, version=2**64 - 1)]
        edited.append(message)
    for message, answer in zip(edited, ask_node(list(map(bytes, edited))), strict=True):
        assert parse(answer["debug"]) == as_a_node_keeps_it(plain(message))
        assert bytes(Chitchat(bytes(message))) == bytes(message)
