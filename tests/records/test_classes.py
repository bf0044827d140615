# SPDX-License-Identifier: GPL-2.0-or-later
"""The written-out classes of records: they follow from the layers, and editors and type checkers see them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from scapy_chitchat import DecodeError, decode, encode
from scapy_chitchat.described.compiler import ListReader
from scapy_chitchat.described.fields import KnownByteField
from scapy_chitchat.described.lists import ItemsField, StuckError
from scapy_chitchat.records import classes, codec, generate, makers
from scapy_chitchat.records.base import Record
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.makers import item_bytes, list_reader, record_class
from scapy_chitchat.records.sections import with_ids
from scapy_chitchat.wire import layers
from scapy_chitchat.wire.protocol import ProtocolVersion
from tests.support import ROOT


def test_the_written_file_is_what_the_layers_give() -> None:
    assert generate.PATH.read_text(encoding="utf-8") == generate.generated(), (
        "the layers have changed: python -m scapy_chitchat.records.generate"
    )


def test_every_layer_of_a_message_or_an_item_has_its_class() -> None:
    assert set(classes.ITEM_CLASSES) == set(layers.ITEMS)
    assert set(classes.MESSAGE_CLASSES) == set(layers.MESSAGES.values())
    assert record_class(layers.NodeOp) is classes.NodeOp


def test_a_message_is_written_with_what_it_has_to_say() -> None:
    assert classes.Syn(cluster_id="c") == classes.Syn(0, "Syn", "c", ())
    assert classes.SynAck(1).as_dict() == {"version": 1, "type": "SynAck", "digest": [], "delta": []}


def test_a_value_without_a_word_on_what_it_is_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers.SetMaxVersionOp, "field_docs", {})
    with pytest.raises(TypeError, match=r"SetMaxVersionOp\.max_version: field_docs has no word"):
        generate.generated()


def test_two_enums_whose_fields_have_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = KnownByteField("status", 0, ProtocolVersion, refused_as="bad-status")
    monkeypatch.setattr(layers.SetMaxVersionOp, "fields_desc", [*layers.SetMaxVersionOp.fields_desc, other])
    monkeypatch.setattr(layers.SetMaxVersionOp, "field_docs", {"max_version": "A.", "status": "B."})
    with pytest.raises(TypeError, match=r"Status: .* for one field, .* for another"):
        generate.generated()


DELTA = (
    classes.NodeOp("a", 1, "127.0.0.1:1", 0, 0),
    classes.KeyValueOp("k", "v", 1, "Set", "a", 1),
    classes.KeyValueOp("l", "w", 2, "Delete", "a", 1),
    classes.NodeOp("b", 2, "[::1]:1", 0, 0),
    classes.SetMaxVersionOp(7, "b", 2),
)


def test_each_change_says_whose_it_is() -> None:
    assert decode(encode(classes.Ack(1, delta=DELTA))) == classes.Ack(1, delta=DELTA)
    nobody = tuple(structs.replace(op, node_id=None) if op.node_id == "a" else op for op in DELTA[1:3])
    assert encode(classes.Ack(delta=(DELTA[0], *nobody))) == encode(classes.Ack(delta=DELTA[:3])), "it is not written"


@pytest.mark.parametrize("stuck_at", range(len(DELTA)))
def test_the_careful_reader_says_so_too_and_so_does_the_quick_one_behind_it(
    monkeypatch: pytest.MonkeyPatch, stuck_at: int
) -> None:
    data = encode(classes.Ack(delta=DELTA))
    quick, places = list_reader, list[int]()

    def stuck_once(field: ItemsField) -> ListReader:
        def read(data: bytes, pos: int, count: int | None, *carried: object) -> tuple[list[Any], int]:
            if places:
                return quick(field)(data, pos, count, *carried)
            places.append(pos)
            items, _ = quick(field)(data, pos, count)
            before = items[:stuck_at]
            whose = next(((op.node_id, op.generation_id) for op in reversed(before)), (None, None))
            raise StuckError(before, pos + sum(len(item_bytes(op)) for op in before), whose)

        return read

    monkeypatch.setattr(makers, "list_reader", stuck_once)
    monkeypatch.setattr(codec._CHITCHAT, "_readers", {})
    assert decode(data) == classes.Ack(delta=DELTA)
    assert places


def test_operations_before_any_node_are_nobodys() -> None:
    stray = (classes.SetMaxVersionOp(7), *DELTA)
    with pytest.raises(DecodeError) as caught:
        decode(encode(classes.Ack(delta=stray)))
    assert caught.value.code == "no-node"
    first = caught.value.partial["delta"][0]
    assert first == {"op": "SetMaxVersion", "max_version": 7, "node_id": None, "generation_id": None}


def test_other_nodes_are_told_of_in_every_part() -> None:
    message = classes.SynAck(digest=(classes.NodeDigest("a", 1, "127.0.0.1:1", 1, 0, 2),), delta=DELTA)
    there = ChitchatId("z", 9, "127.0.0.1:2")
    changed = with_ids(message, lambda node: there if node.node_id == "a" else node)
    assert [(op.node_id, op.generation_id) for op in changed.delta] == [("z", 9)] * 3 + [("b", 2)] * 2
    assert id_of(changed.digest[0]) == there
    assert decode(encode(changed)) == changed


TYPED = """
from typing import Literal
from typing_extensions import assert_type
from scapy_chitchat import decode
from scapy_chitchat.records.classes import Ack, BadCluster, KeyValueOp, NodeDigest, NodeOp, SetMaxVersionOp, Syn, SynAck
from scapy_chitchat.records.sections import sections

message = decode(b"")
assert_type(message, Syn | SynAck | Ack | BadCluster)
if isinstance(message, SynAck):
    assert_type(message.digest[0], NodeDigest)
    assert_type(message.digest[0].heartbeat, int)
    assert_type(message.delta[0], NodeOp | KeyValueOp | SetMaxVersionOp)
    for section in sections(message.delta):
        assert_type(section.node.from_version_excluded, int)
        for change in section.changes:
            if isinstance(change, KeyValueOp):
                assert_type(change.status, Literal["Set", "Delete", "DeleteAfterTtl"])
"""

WRONG = """
from scapy_chitchat import decode
from scapy_chitchat.records.classes import KeyValueOp, Syn

print(decode(b"").digest)
if isinstance(message := decode(b""), Syn):
    print(message.digest[0].heart_beat)
KeyValueOp("k", "v", "1", "Set")
"""


def test_a_type_checker_sees_what_is_in_a_message(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(TYPED)
    wrong.write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(right), str(wrong)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert "right.py" not in done.stdout, done.stdout
    complaints = re.findall(r"wrong.py:(\d+): error: (.*)", done.stdout)
    assert {line for line, _ in complaints} == {"5", "7", "8"}, done.stdout


def test_records_are_of_one_kind() -> None:
    assert all(issubclass(made, Record) for made in (*classes.ITEM_CLASSES.values(), *classes.MESSAGE_CLASSES.values()))
