# SPDX-License-Identifier: GPL-2.0-or-later
"""The reader of the crate's Debug text, against texts that the crate has written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.debug_text import as_a_node_keeps_it, parse

# written by chitchat 0.13.0
SYN = (
    r'ChitchatEnvelope { version: V0, message: Syn { cluster_id: "a\"b\\c\n\u{7f}é", digest: Digest { node_digests: '
    r"{n1:18446744073709551615:[::1]:80: NodeDigest { heartbeat: Heartbeat(1), last_gc_version: 2, max_version: 3 }, "
    r"n:0:1:127.0.0.1:7280: NodeDigest { heartbeat: Heartbeat(92), last_gc_version: 0, max_version: 7 }} } } }"
)
ACK = (
    "ChitchatEnvelope { version: V1, message: Ack { delta: Delta { node_deltas: [NodeDelta { chitchat_id: "
    "node-2:17:127.0.0.3:7280, from_version_excluded: 15, last_gc_version: 4, key_values: [KeyValueMutation "
    '{ key: "k } ]", value: "日本\\"", version: 16, status: Set }, KeyValueMutation { key: "", value: "", version: 17, '
    "status: DeleteAfterTtl }], max_version: 17 }, NodeDelta { chitchat_id: :0:127.0.0.3:7280, "
    "from_version_excluded: 0, last_gc_version: 0, key_values: [], max_version: 9 }], serialized_len: 92 } } }"
)


def test_a_syn_has_its_cluster_and_its_digest_by_identity() -> None:
    assert parse(SYN) == {
        "version": 0,
        "type": "Syn",
        "cluster_id": 'a"b\\c\n\x7fé',
        "digest": {
            ("n:0", 1, "127.0.0.1", 7280): (92, 0, 7),
            ("n1", 18446744073709551615, "::1", 80): (1, 2, 3),
        },
    }


def test_an_ack_has_its_delta_by_identity() -> None:
    assert parse(ACK) == {
        "version": 1,
        "type": "Ack",
        "delta": {
            ("node-2", 17, "127.0.0.3", 7280): (
                4,
                15,
                17,
                [("k } ]", '日本"', 16, "Set"), ("", "", 17, "DeleteAfterTtl")],
            ),
            ("", 0, "127.0.0.3", 7280): (0, 0, 9, []),
        },
    }


def test_a_message_without_body() -> None:
    assert parse("ChitchatEnvelope { version: V0, message: BadCluster }") == {"version": 0, "type": "BadCluster"}


@pytest.mark.parametrize("text", ["", "Chitchat", SYN[:-40], ACK[:-3] + "x", SYN.replace("Heartbeat(", "(")])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        parse(text)


def test_a_message_of_ours_is_grouped_as_a_node_groups_it() -> None:
    node: dict[str, Any] = {"node_id": "n", "generation_id": 1, "gossip_advertise_addr": "[::1]:80"}
    entry = {**node, "heartbeat": 1, "last_gc_version": 2, "max_version": 3}
    delta = [
        {"op": "Node", **node, "last_gc_version": 4, "from_version_excluded": 5},
        {"op": "KeyValue", "key": "k", "value": "v", "version": 6, "status": "Set"},
        {"op": "SetMaxVersion", "max_version": 9},
    ]
    kept = as_a_node_keeps_it(
        {"version": 1, "type": "SynAck", "digest": [{**entry, "heartbeat": 0}, entry], "delta": delta}
    )
    assert kept == {
        "version": 1,
        "type": "SynAck",
        "digest": {("n", 1, "::1", 80): (1, 2, 3)},
        "delta": {("n", 1, "::1", 80): (4, 5, 9, [("k", "v", 6, "Set")])},
    }
