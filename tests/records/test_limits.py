# SPDX-License-Identifier: GPL-2.0-or-later
"""Our own limits: what just fits is read, one more is not, and it is told where."""

from __future__ import annotations

import struct

import pytest

from scapy_chitchat import Chitchat, ChitchatAck, DecodeError, KeyValueOp, NodeOp, decode
from scapy_chitchat.records import classes
from scapy_chitchat.wire.protocol import MOST_ITEMS
from scapy_chitchat.wire.stream import split_stream
from tests.support.typed import decoded

NODE = bytes(NodeOp(node_id="n"))


def ack_of(stream: bytes) -> bytes:
    """An Ack whose delta is this stream. Written here by hand: a quarter of a million packets would take long."""
    blocks = b"".join(bytes((kind,)) + struct.pack("<H", len(data)) + data for kind, data in split_stream(stream))
    return b"\x53\xb0\0\2" + blocks + b"\0"


def operations(count: int) -> bytes:
    """A Node operation and as many more as make ``count``."""
    return NODE + b"".join(b"\2" + struct.pack("<Q", version) for version in range(1, count))


def test_a_list_of_as_many_items_as_are_read_is_read_whole() -> None:
    assert len(decoded(classes.Ack, ack_of(operations(MOST_ITEMS))).delta) == MOST_ITEMS


def test_one_item_more_is_refused_where_it_stands() -> None:
    with pytest.raises(DecodeError) as refused:
        decode(ack_of(operations(MOST_ITEMS + 1)))
    assert (refused.value.code, refused.value.stream) == ("stream-limit", "delta")
    assert refused.value.offset == len(operations(MOST_ITEMS))


def test_what_is_wrong_with_the_last_item_that_is_read_is_told() -> None:
    with pytest.raises(DecodeError) as refused:
        decode(ack_of(operations(MOST_ITEMS - 1) + b"\x09"))
    assert (refused.value.code, refused.value.offset) == ("bad-tag", len(operations(MOST_ITEMS - 1)))


def test_a_stream_of_as_many_bytes_as_the_limit_is_read_whole() -> None:
    delta = [NodeOp(node_id="n"), KeyValueOp(key="k", value="v" * 5000)]
    data = bytes(Chitchat() / ChitchatAck(delta=delta))
    size = sum(len(bytes(op)) for op in delta)
    assert len(decoded(classes.Ack, data, limit=size).delta) == 2
    with pytest.raises(DecodeError) as refused:
        decode(data, limit=size - 1)
    assert refused.value.code == "stream-limit"
