# SPDX-License-Identifier: GPL-2.0-or-later
"""Records and findings against the verdicts of real nodes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scapy_chitchat import DecodeError, decode, findings
from tests import mutations
from tests.support import debug_text

REASONS = {
    r"buffer too small to store": {"too-short"},
    r"invalid chitchat magic number": {"bad-magic"},
    r"invalid protocol version": {"bad-version"},
    r"invalid message type": {"bad-type"},
    r"failed to deserialize string": {"string-short"},
    r"(invalid|incomplete) utf-8": {"bad-utf8"},
    r"Invalid IP version byte": {"bad-ip-version"},
    r"Buffer too short": {"field-short"},
    r"invalid block type": {"bad-block-type"},
    r"failed to download compressed stream": {"block-short"},
    r"failed to decompress block": {"bad-zstd"},
    r"Unknown tag": {"bad-tag"},
    r"Invalid deletion status code": {"bad-status"},
    r"received a key-value op without a node op": {"no-node"},
    r"Condition failed: `!self.existing_nodes.contains": {"duplicate-node"},
    r"kv version should be striclty increasing": {"version-order"},
}
"""What the crate says, and which codes mean the same."""


def test_every_verdict_and_every_value_is_a_nodes(verdicts: list[dict[str, Any]]) -> None:
    taken = 0
    for row in verdicts:
        data = bytes.fromhex(row["hex"])
        if row["0.13"] is None:
            with pytest.raises(DecodeError) as caught:
                decode(data)
            meanings = [codes for reason, codes in REASONS.items() if re.match(reason, row["0.13_error"])]
            assert [caught.value.code in codes for codes in meanings] == [True], row["0.13_error"]
            assert [each.code for each in findings(data)] == [caught.value.code]
        else:
            message = decode(data).as_dict()
            assert debug_text.as_a_node_keeps_it(message) == debug_text.parse(row["0.13"])
            assert not any(each.severity == "error" for each in findings(data))
            taken += 1
    assert 1000 < taken < len(verdicts)


@pytest.mark.long
def test_hostile_messages_raise_nothing_and_records_agree_with_layers() -> None:
    outcomes = mutations.run(3000, seed=2)
    taken = sum(count for (_, outcome), count in outcomes.items() if outcome == "taken")
    assert 1000 < taken < 2500
    assert len({outcome for _, outcome in outcomes}) > 14
