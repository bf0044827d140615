# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of ``sniff`` send, and how they read what is shown."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from scapy_chitchat import (
    Chitchat,
    ChitchatAck,
    ChitchatSyn,
    KeyValueOp,
    NodeDigest,
    NodeOp,
)

SYN = bytes(Chitchat() / ChitchatSyn(cluster_id="c", digest=[NodeDigest(node_id="a")]))
ACK = bytes(Chitchat(version=1) / ChitchatAck(delta=[NodeOp(node_id="b"), KeyValueOp(key="k", value="v" * 50_000)]))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="capturing on an interface needs root")


def send(port: int, *messages: bytes, host: str = "127.0.0.1") -> None:
    """Send datagrams to a port of this machine."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(message, (host, port))


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines of output; waits for them."""
    assert process.stdout
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]
