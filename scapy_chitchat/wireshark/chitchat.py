# SPDX-License-Identifier: GPL-2.0-or-later
"""What the generator is told of chitchat, besides the layers: names, findings, which hand-written parts go where."""

from __future__ import annotations

from pathlib import Path

from scapy_chitchat import __version__
from scapy_chitchat.described.lua import generate
from scapy_chitchat.described.lua_model import Description
from scapy_chitchat.records.checks import CODES
from scapy_chitchat.wire import layers
from scapy_chitchat.wire.headers import HEADER_SIZE
from scapy_chitchat.wire.protocol import DIGEST_NEAR_LIMIT, UDP_PORTS
from scapy_chitchat.wire.stream import decompress_block

PARTS = Path(__file__).parent
"""Where the hand-written Lua is."""

COMMAND = "scapy-chitchat wireshark generate"
"""What writes the dissector."""

UNSEEN = {"unusual-blocks"}
"""Findings that a dissector cannot make: this one takes a compressor."""

ANSWERED_NUMBERS = [
    [int(kind) for kind, layer in layers.MESSAGES.items() if layer in pair]
    for pair in sorted(layers.ANSWERS, key=lambda pair: [layer.__name__ for layer in pair])
]
"""Which type of message is answered by which, as numbers."""

CHITCHAT = Description(
    name="Chitchat",
    title="Chitchat Gossip",
    abbreviation="chitchat",
    root=layers.Chitchat,
    ports=",".join(map(str, UDP_PORTS)),
    written_by=f"`{COMMAND}` of scapy-chitchat {__version__}",
    parts=PARTS,
    codes={code: (known.severity, known.text) for code, known in CODES.items() if code not in UNSEEN},
    constants={"HEADER_SIZE": HEADER_SIZE, "DIGEST_NEAR_LIMIT": DIGEST_NEAR_LIMIT, "ANSWERS": ANSWERED_NUMBERS},
    checks={
        layers.NodeDigest: ["node_id", "generation_id", "ip_version", "port"],
        layers.NodeOp: ["node_id", "node_id_len", "last_gc_version", "from_version_excluded"],
        layers.KeyValueOp: ["key", "version"],
        layers.SetMaxVersionOp: ["max_version"],
    },
    labels={
        layers.NodeDigest: ["node_id", "max_version"],
        layers.NodeOp: ["node_id"],
        layers.KeyValueOp: ["key", "value"],
        layers.SetMaxVersionOp: ["max_version"],
    },
    extra_fields=[
        ("response_in", 'ProtoField.framenum(%s, "Response in", base.NONE, frametype.RESPONSE)'),
        ("response_to", 'ProtoField.framenum(%s, "Response to", base.NONE, frametype.REQUEST)'),
        ("response_time", 'ProtoField.relative_time(%s, "Response time")'),
    ],
    libraries=["zstd"],
    unpackers={decompress_block: "decompress"},
    before=["checks"],
    after=["conversation"],
    finish=[
        "if message.done then",
        "  check_message(message)",
        "end",
        "if not message.trouble then",
        "  report_remarks(message)",
        "end",
        "describe(message)",
    ],
)
"""What the dissector of chitchat is made from, besides the fields of the layers."""


def dissector() -> str:
    """The text of lua/chitchat.lua."""
    return generate(CHITCHAT)
