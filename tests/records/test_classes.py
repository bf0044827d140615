# SPDX-License-Identifier: GPL-2.0-or-later
"""The written-out classes of records: they follow from the layers, and editors and type checkers see them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scapy_chitchat.described.fields import KnownByteField
from scapy_chitchat.records import classes, generate
from scapy_chitchat.records.base import Record
from scapy_chitchat.records.makers import record_class
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
