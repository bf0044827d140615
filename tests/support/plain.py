# SPDX-License-Identifier: GPL-2.0-or-later
"""A message of layers as the plain values of its JSON."""

from __future__ import annotations

from typing import Any, cast

from scapy.packet import Packet

from scapy_chitchat import KeyValueOp, NodeOp, SetMaxVersionOp
from scapy_chitchat.described.packet import WirePacket
from scapy_chitchat.wire.layers import TYPE_NAMES


def plain(message: Packet) -> dict[str, Any]:
    """A message's values with the keys of its JSON."""
    body = message.payload
    values: dict[str, Any] = {"version": message.version, "type": TYPE_NAMES[type(body)]}
    if "cluster_id" in body.fieldtype:
        values["cluster_id"] = body.cluster_id
    for name in ("digest", "delta"):
        if name in body.fieldtype:
            values[name] = [plain_item(item) for item in getattr(body, name)]
    return values


OPERATIONS = {NodeOp: "Node", KeyValueOp: "KeyValue", SetMaxVersionOp: "SetMaxVersion"}
STATUSES = ["Set", "Delete", "DeleteAfterTtl"]
COUNTED = ("node_id_len", "ip_version", "key_len", "value_len", "tag")


def plain_item(item: Packet) -> dict[str, Any]:
    values = {field.name: item.getfieldval(field.name) for field in item.fields_desc if field.name not in COUNTED}
    if "ip" in values:
        ip, port = values.pop("ip"), values.pop("port")
        values["gossip_advertise_addr"] = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    if "status" in values:
        values["status"] = STATUSES[values["status"]]
    if type(item) in OPERATIONS:
        values["op"] = OPERATIONS[cast("type[WirePacket]", type(item))]
    return values
