# SPDX-License-Identifier: GPL-2.0-or-later
"""A message with all that there is in one, made of layers."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.packet import Packet, Raw

import scapy_chitchat
from scapy_chitchat import Chitchat, ChitchatSynAck, KeyValueOp, NodeDigest, NodeOp, SetMaxVersionOp

NAMES: dict[str, Any] = {name: getattr(scapy_chitchat, name) for name in scapy_chitchat.__all__} | {"Raw": Raw}
VERSIONS = pytest.mark.parametrize("version", [0, 1])


def built(version: int) -> Packet:
    message: Packet = Chitchat(version=version) / ChitchatSynAck(
        digest=[NodeDigest(node_id="a", heartbeat=1), NodeDigest(node_id="b", ip="::2", max_version=9)],
        delta=[
            NodeOp(node_id="a"),
            KeyValueOp(key="k", value="v" * 40, version=1),
            KeyValueOp(key="l", value="w", version=2, status="Delete"),
            NodeOp(node_id="b"),
            SetMaxVersionOp(max_version=9),
        ],
    )
    return message


def dissected(version: int) -> Packet:
    """The same off the wire."""
    return Chitchat(bytes(built(version)))


def again(message: Packet) -> Packet:
    """What another reader makes of it."""
    return Chitchat(bytes(message))
