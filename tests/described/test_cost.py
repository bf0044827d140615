# SPDX-License-Identifier: GPL-2.0-or-later
"""What reading costs: work that grows with the entries and no faster, memory, and streams that grow without end."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from scapy_chitchat import (
    Chitchat,
    ChitchatSyn,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
)

# --- speed and memory ---


def syn_with(entries: int) -> bytes:
    return (
        bytes.fromhex("53b00000") + entries.to_bytes(2, "little") + bytes(NodeDigest(node_id="")) * entries + bytes(2)
    )


def calls(work: Callable[[], Any]) -> int:
    """How many functions are called: what the work costs, whatever else the machine does."""
    count = 0

    def called(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    work()  # what is made when it is first needed does not count
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "work",
    [
        Chitchat,
        lambda data: bytes(Chitchat(data)),
        lambda data: Chitchat(data).copy(),
        lambda data: Chitchat(data[:-9]),
    ],
    ids=["dissect", "build", "copy", "dissect a broken one"],
)
def test_the_work_grows_with_the_entries_and_no_faster(work: Callable[[bytes], Any]) -> None:
    few, many = syn_with(150), syn_with(1500)
    assert calls(lambda: work(many)) < 11 * calls(lambda: work(few))


def kept_alive(data: bytes) -> tuple[int, int]:
    """Bytes of memory that the message keeps, and the most that reading it takes."""
    Chitchat(data)
    tracemalloc.start()
    try:
        message = Chitchat(data)
        assert message.payload
        return tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def test_the_largest_digest_keeps_less_than_10_megabytes_alive() -> None:
    entries = [NodeDigest(node_id="", ip=f"10.0.{n // 256}.{n % 256}", generation_id=2**63 + n) for n in range(1597)]
    data = bytes(Chitchat() / ChitchatSyn(digest=entries))
    assert 65400 < len(data) < 65507
    assert kept_alive(data)[0] < 10e6


BOMBS = {
    "no operations": bytes(65535),
    "node operations": bytes(NodeOp(node_id="")) * 1560,
    "key-values": bytes(KeyValueOp()) * 4369,
    "key-values that are no text": bytes(KeyValueOp(key=b"\xff")) * 4095,
    "versions": bytes(SetMaxVersionOp()) * 7281,
}


@pytest.mark.long
@pytest.mark.parametrize("name", BOMBS)
def test_a_message_whose_blocks_all_grow_to_the_limit_is_not_read_to_its_end(name: str) -> None:
    packed = zstandard.ZstdCompressor(level=19).compress(BOMBS[name])
    block = b"\x01" + len(packed).to_bytes(2, "little") + packed
    data = b"\x53\xb0\x01\x01" + (block * (30000 // len(block)) + b"\x00") * 2
    message = Chitchat(data)
    assert bytes(message) == data
    assert message.payload.trouble.code == "stream-limit"
    assert kept_alive(data)[1] < 200e6
