# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark in WebAssembly, which has no zstd of its own, shows what the Scapy layers show.

CHITCHAT_WIREGASM names the folder of the npm package @goodtools/wiregasm.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat.capture import read_messages
from scapy_chitchat.wire.layers import Chitchat
from scapy_chitchat.wire.protocol import MAGIC
from tests.support.tsharks import DISSECTOR, Leaf, first_difference, scapy_leaves, write_capture

PACKAGE = os.environ.get("CHITCHAT_WIREGASM", "")

pytestmark = [
    pytest.mark.skipif(not shutil.which("node"), reason="there is no node"),
    pytest.mark.skipif(not Path(PACKAGE, "dist/wiregasm.wasm").exists(), reason="CHITCHAT_WIREGASM names no wiregasm"),
]


def shown_by_wiregasm(capture: Path) -> dict[int, list[Leaf]]:
    """The leaves of every message, by frame."""
    script = Path(__file__).with_name("wiregasm.mjs")
    ran = subprocess.run(["node", script, PACKAGE, DISSECTOR, capture], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = map(json.loads, ran.stdout.splitlines())
    return {frame: [(name, bytes.fromhex(data)) for name, data in leaves] for frame, leaves in lines}


def test_every_message_has_the_leaves_that_scapy_shows(capture: Path, tmp_path: Path) -> None:
    plain = capture
    if capture.suffix == ".gz":
        plain = tmp_path / capture.stem
        plain.write_bytes(gzip.decompress(capture.read_bytes()))
    shown = shown_by_wiregasm(plain)
    for message in read_messages(capture):
        expected = list(scapy_leaves(Chitchat(message.data)))
        assert not first_difference(shown[message.frame], expected), f"frame {message.frame}"


def test_broken_messages_are_shown_as_far_as_scapy_shows_them(verdicts: list[dict[str, Any]], tmp_path: Path) -> None:
    messages = [bytes.fromhex(row["hex"]) for row in verdicts]
    shown = shown_by_wiregasm(write_capture(tmp_path / "verdicts.pcap", messages))
    for number, data in enumerate(messages, 1):
        if data[:2] == MAGIC.to_bytes(2, "little"):
            assert not first_difference(shown[number], list(scapy_leaves(Chitchat(data)))), data.hex()
        else:  # its port may be another protocol's
            assert number not in shown, data.hex()
