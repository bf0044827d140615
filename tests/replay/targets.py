# SPDX-License-Identifier: GPL-2.0-or-later
"""Where replays go: a socket that takes datagrams, a fresh real node; and what a capture carries for one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from scapy_chitchat import read_messages
from scapy_chitchat.net.packets import Endpoints
from scapy_chitchat.records.classes import KeyValueOp
from scapy_chitchat.records.sections import delta_of, digest_of, sections
from tests.support import PCAPS

THREE = PCAPS / "v0-three-nodes.pcap"
HERE = Endpoints("127.0.0.1", 7281, "127.0.0.1", 7280)
REPLAY = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()", "replay"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*REPLAY, *map(str, arguments)], capture_output=True, text=True, timeout=300)


class Sink:
    """A socket that takes datagrams."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.text = f"127.0.0.1:{self.address[1]}"

    def taken(self) -> list[bytes]:
        found = []
        self.socket.settimeout(0.2)
        while True:
            try:
                found.append(self.socket.recv(65536))
            except TimeoutError:
                return found


class Node:
    """A fresh real node."""

    def __init__(self, peer: Path, version: str) -> None:
        self.version = version
        words = f"node --version {version} --node-id fresh --cluster-id laptop --listen 127.0.0.1:0"
        self.process = subprocess.Popen(
            [peer, *words.split()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.address: str = self._answer()["ready"]

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def held(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By node_id and address: what it holds of others."""
        assert self.process.stdin
        self.process.stdin.write('{"op":"state"}\n')
        self.process.stdin.flush()
        return {
            (each["node_id"], each["gossip_advertise_addr"]): {
                pair["key"]: (pair["value"], pair["version"], pair["status"]) for pair in each["key_values"]
            }
            for each in self._answer()["nodes"]
            if each["node_id"] != "fresh"
        }

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def carried(capture: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """By node_id and address: the last value of each key that deltas carry; all members that digests name."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for captured in read_messages(capture):
        for entry in digest_of(captured.message):
            found.setdefault((entry.node_id, entry.gossip_advertise_addr), {})
        for section in sections(delta_of(captured.message)):
            held = found[section.node.node_id, section.node.gossip_advertise_addr]
            for op in section.changes:
                if isinstance(op, KeyValueOp) and held.get(op.key, ("", 0))[1] < op.version:
                    held[op.key] = (op.value, op.version, op.status)
    return found
