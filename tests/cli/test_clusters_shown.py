# SPDX-License-Identifier: GPL-2.0-or-later
"""How ``state``, ``timeline`` and ``follow`` look: on terminals, with what is not known, with hostile strings."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scapy_chitchat import Cluster, read_messages
from scapy_chitchat.cli.application import run as run_here
from scapy_chitchat.cli.clusters import gaps
from scapy_chitchat.net.text import printable
from scapy_chitchat.records.classes import Ack, KeyValueOp, Message, NodeDigest, NodeOp, Syn, SynAck
from scapy_chitchat.records.codec import encode
from tests.cli.test_cli import COMMAND, THREE, run
from tests.cli.test_clusters import objects, pcap

# --- on a terminal ---


def on_terminal(columns: int, *arguments: object, **environment: str) -> str:
    """What a terminal of so many columns shows."""
    master, slave = pty.openpty()
    command = [*COMMAND, *map(str, arguments)]
    settled = {"TERM": "xterm", "COLUMNS": str(columns), "PATH": os.environ["PATH"], **environment}
    process = subprocess.Popen(command, stdout=slave, stderr=slave, env=settled)
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(master, 65536):
            seen += piece
    os.close(master)
    process.wait()
    return seen.decode()


@pytest.mark.long
@pytest.mark.parametrize("command", [["state"], ["state", "--observer", "node-1"], ["state", "--keys"]])
def test_a_narrow_terminal_has_all_of_a_table(command: list[str]) -> None:
    shown = on_terminal(80, *command, THREE, NO_COLOR="1")
    tables = shown.split("digest entries")[0]
    lines = tables.splitlines()[:-1]
    assert max(map(len, lines)) <= 80
    assert "…" not in tables
    for text in ("node-0", "node-1", "node-2", "127.0.0.3:7280") if command == ["state"] else ("node-0", "node-2"):
        assert text in tables


@pytest.mark.long
def test_colours_are_for_terminals() -> None:
    assert "\x1b[" in on_terminal(100, "timeline", "--kind", "joined", THREE)
    assert "\x1b[3" not in on_terminal(100, "timeline", "--kind", "joined", THREE, NO_COLOR="1")
    assert "\x1b" not in run("timeline", "--kind", "joined", THREE).stdout


def test_no_row_is_broken_in_a_pipe() -> None:
    rows = [line for line in run("state", "--keys", THREE).stdout.splitlines() if "127.0.0." in line]
    assert len(rows) == 3
    assert all(row.split()[0].startswith("node-") for row in rows)


# --- what is not known ---


def test_why_key_values_are_not_known() -> None:
    cluster = Cluster()
    for message in read_messages(THREE):
        cluster.feed(message)
    node = cluster.at()[0].nodes[0]
    assert node.complete
    assert list(gaps([node])) == []
    (unsent,) = gaps([msgspec.structs.replace(node, complete=False)])
    assert "nobody sent them while the capture ran" in unsent
    assert "probe" in unsent
    (stuck,) = gaps([msgspec.structs.replace(node, complete=False, stuck=True)])
    assert "fits no datagram" in stuck
    assert "capture" not in stuck
    assert list(gaps([msgspec.structs.replace(node, complete=False, run="earlier")])) == []


@pytest.mark.long
def test_a_capture_that_begins_in_the_middle_says_that_it_does_not_know_all(tmp_path: Path) -> None:
    data = THREE.read_bytes()
    at = 24
    for _ in range(400):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
    late = tmp_path / "late.pcap"
    late.write_bytes(data[:24] + data[at:])
    shown = run("state", late).stdout
    assert "not all key-values of node-0, node-1, node-2 are known" in shown
    assert re.search(r"\d\+ *$", shown, re.MULTILINE)
    (state,) = objects("state", late)
    assert not any(node["complete"] for node in state["nodes"])
    assert "there may be later versions" in run("follow", "*", late).stderr


# --- strings off the wire ---

EVIL = st.text(
    st.sampled_from("a<script>[/]\\\x1b\x07\n\r\t\x00\x9b\u202e\u2066\u200f\u2028\ud7ff\ufeff日"),
    min_size=1,
    max_size=12,
) | st.sampled_from(["\x1b[31m", "\x1b]0;owned\x07", "[red]x[/red]", "[link=http://x]", "\u202egnp.exe", "<script>"])


def evil_messages(cluster_id: str, name: str, key: str, value: str) -> Iterator[tuple[bytes, str, str]]:
    """Two nodes of a name and a key that do harm, who meet; then the other says nothing."""
    a, b = (name, 1, "10.0.0.1:7280"), (name + "b", 1, "10.0.0.2:7280")
    one, two = "10.0.0.1", "10.0.0.2"

    def said(message: Message, source: str, destination: str) -> tuple[bytes, str, str]:
        return encode(message), source, destination

    op = KeyValueOp(key, value, 1, "Set")
    yield said(Syn(cluster_id=cluster_id, digest=(NodeDigest(*a, 2, 0, 1),)), one, two)
    yield said(SynAck(digest=(NodeDigest(*a, 2, 0, 0), NodeDigest(*b, 3, 0, 0)), delta=()), two, one)
    yield said(Ack(delta=(NodeOp(*a, 0, 0), op)), one, two)
    for beat in range(4, 40, 4):
        digest = (NodeDigest(*a, beat, 0, 1), NodeDigest(*b, 3, 0, 0))
        yield said(Syn(cluster_id=cluster_id, digest=digest), one, two)


def shown_here(arguments: list[str]) -> str:
    """What a command prints, on both streams, run in this process."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, "utf-8", write_through=True) as text:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            run_here(arguments)
        return raw.getvalue().decode()


HARMED = (
    "state --keys",
    "state --observer *",
    "state --differences",
    "timeline",
    "timeline --summary",
    "follow *",
)
"""Commands that show such strings."""


@settings(max_examples=30, deadline=None)
@given(cluster_id=EVIL, name=EVIL, key=EVIL, value=EVIL)
def test_no_string_off_the_wire_reaches_a_terminal_unescaped(cluster_id: str, name: str, key: str, value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(pcap(Path(folder) / "evil.pcap", list(evil_messages(cluster_id, name, key, value))))
        shown = {command: shown_here([*command.split(), path]) for command in HARMED}
    for command, text in shown.items():
        assert all(char.isprintable() or char == "\n" for char in text), command
    assert f"{printable(key)} = " in shown["timeline"]
    assert f"Cluster {printable(cluster_id)} at" in shown["state --keys"]
    assert f"As {printable(name)} of 1 sees" in shown["state --observer *"]
    assert f'{printable(key)} = "{printable(value)}"' in shown["follow *"]


def test_such_a_string_would_be_seen() -> None:
    assert not all(char.isprintable() or char == "\n" for char in "\x1b[31m\u202e")
    assert printable("\u202e") == "\\u202e"
