# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes docs/tunnels.md: each tunnel and link type, and who finds the message in it.

    python -m tests.tunnels_table [FILE]

Each frame is built with Scapy (tests/support/wrapped.py), read with ``read_messages``, sniffed with ``ChitchatSession``
and dissected by tshark with lua/chitchat.lua. Without a FILE the page goes to standard output.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from scapy.sendrecv import sniff

from scapy_chitchat import ChitchatSession, read_messages
from scapy_chitchat.capture.links import UNREAD
from scapy_chitchat.integration.captures import CaptureSocket
from tests.support.wrapped import SYN, Wrapped, links, tunnels

DISSECTOR = Path(__file__).parents[1] / "lua" / "chitchat.lua"

HEAD = """# Tunnels and link types

Written by `python -m tests.tunnels_table docs/tunnels.md`, which builds each frame with Scapy: one message, and what
finds it. *read* is `read_messages` and all commands that open captures, *session* is `ChitchatSession`, *Lua* is tshark
{version} with `lua/chitchat.lua` and tshark's own preferences.

The session's frames come from `CaptureSocket`, which opens what `read_messages` opens. With `sniff(offline=...)` it
sees what Scapy's own reader gives it: no zstd, xz or lz4, no modified pcap, no simple packet blocks, and the interfaces
of the first section for those of all. The session counts what it meets but says nothing; times have microseconds; a
frame that the snap length cut is not known as one. Several captures by the times of their frames, `drop_duplicates`,
findings and frame numbers as Wireshark's are with `read_messages`.

| | link type | read | session | Lua | told as |
|---|---|---|---|---|---|
"""

UNREAD_HEAD = """
## What Wireshark reads and we do not

Frames of these link types are counted, and the line at the end names them. A file of nothing else is bad input.

| link type | | why not |
|---|---|---|
"""


def pcap(wrapped: Wrapped) -> io.BytesIO:
    """A capture of the one frame."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, wrapped.linktype)
    return io.BytesIO(head + struct.pack("<IIII", 1, 0, len(wrapped.frame), len(wrapped.frame)) + wrapped.frame)


def block(kind: int, body: bytes) -> bytes:
    """A block of a pcapng file."""
    padded = body + bytes(-len(body) % 4)
    size = struct.pack("<I", len(padded) + 12)
    return struct.pack("<I", kind) + size + padded + size


def pcapng(rows: list[Wrapped]) -> bytes:
    """A capture of all frames, each of an interface of its own."""
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for row in rows:
        out += block(1, struct.pack("<HHI", row.linktype, 0, 0))
    for index, row in enumerate(rows):
        out += block(6, struct.pack("<IIIII", index, 0, 1000 + index, len(row.frame), len(row.frame)) + row.frame)
    return out


def found_by_tshark(rows: list[Wrapped]) -> set[int]:
    """The indices of the rows in which tshark finds the message."""
    with tempfile.NamedTemporaryFile(suffix=".pcapng") as file:
        file.write(pcapng(rows))
        file.flush()
        command = ["tshark", "-r", file.name, "-X", f"lua_script:{DISSECTOR}", "-Y", "chitchat.cluster_id"]
        done = subprocess.run(
            [*command, "-T", "fields", "-e", "frame.number"], capture_output=True, text=True, check=True
        )
    return {int(line) - 1 for line in done.stdout.split()}


def found_by_read(row: Wrapped) -> bool:
    """Whether read_messages finds it, with the inner addresses."""
    return [(each.data, each.source) for each in read_messages(pcap(row))] == [(SYN, row.source)]


def found_by_session(row: Wrapped) -> bool:
    """Whether the session finds it."""
    return len(sniff(opened_socket=CaptureSocket(pcap(row)), session=ChitchatSession, quiet=True)) == 1


def page() -> str:
    """The whole page."""
    rows = tunnels() + links()
    tshark = found_by_tshark(rows)
    version = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    out = HEAD.format(version=version.rstrip("."))
    for index, row in enumerate(rows):
        marks = (found_by_read(row), found_by_session(row), index in tshark)
        cells = [row.name, str(row.linktype), *("yes" if mark else "no" for mark in marks), ", ".join(row.tunnel)]
        out += f"| {' | '.join(cells)} |\n"
    out += UNREAD_HEAD
    for linktype, (name, reason) in sorted(UNREAD.items()):
        out += f"| {linktype} | {name} | {reason} |\n"
    return out


def main() -> None:
    """Write the page."""
    if not shutil.which("tshark"):
        sys.exit("tshark is missing: apt-get install tshark")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page())
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
