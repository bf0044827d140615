# SPDX-License-Identifier: GPL-2.0-or-later
"""Real nodes for tests: the program of tests/peer, built when first wanted, and how to talk to it."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import ROOT

FOLDER = ROOT / "tests" / "peer"
PATIENCE = 60
"""Seconds after which something that must happen is taken not to happen."""


class NoPeer(Exception):
    """There is no real node here, and why."""


@cache
def peer_program() -> Path:
    """The chitchat-peer program. Raises NoPeer where it is not built: that takes minutes, and nobody asked for it."""
    program = Path(os.environ.get("CHITCHAT_PEER", FOLDER / "target" / "release" / "chitchat-peer"))
    if not program.exists():
        raise NoPeer("tests/peer is not built: cargo build --release --manifest-path tests/peer/Cargo.toml")
    return program


def why_no_peer() -> str:
    """Why there is no real node here; nothing where there is one. In continuous integration there must be one."""
    try:
        peer_program()
    except NoPeer as missing:
        if "CI" in os.environ:
            raise
        return str(missing)
    return ""


class Oracle:
    """A decoder of a real node: gives one answer for each message."""

    def __init__(self, version: str, *, reencode: bool = False) -> None:
        command = [str(peer_program()), "oracle", "--version", version]
        self.process = subprocess.Popen(
            [*command, "--reencode"] if reencode else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, messages: Sequence[bytes]) -> list[dict[str, Any]]:
        """What the node says to each message."""
        assert self.process.stdin
        assert self.process.stdout
        lines = b"".join(message.hex().encode() + b"\n" for message in messages)
        writer = threading.Thread(target=self._write, args=(lines,))
        writer.start()
        answers = [json.loads(self.process.stdout.readline()) for _ in messages]
        writer.join()
        return answers

    def _write(self, lines: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(lines)
        self.process.stdin.flush()

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class RunningNodes:
    """Real nodes in one process, and what they know."""

    def __init__(self, nodes: Sequence[dict[str, Any]], within: Sequence[str] = ()) -> None:
        config = json.dumps({"nodes": list(nodes)})
        with tempfile.TemporaryFile() as file:  # no pipe: that holds 64 KiB, and nobody reads it yet
            file.write(config.encode())
            file.flush()
            command = [*within, str(peer_program()), "node", "--json-config", f"/dev/fd/{file.fileno()}"]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(file.fileno(),), text=True
            )
        self.address = {ready["node"]: ready["ready"] for ready in map(self._line, nodes)}

    def _line(self, _: object = None) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the nodes have ended"
        return json.loads(line)  # type: ignore[no-any-return]

    def ask(self, node: str, op: str, **arguments: str) -> dict[str, Any]:
        """What a node answers to a command."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"node": node, "op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        return self._line()

    def known(self, node: str) -> dict[str, dict[str, Any]]:
        """What a node knows of each member, by node_id."""
        return {entry["node_id"]: entry for entry in self.ask(node, "state")["nodes"]}

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@contextmanager
def running(*nodes: dict[str, Any], within: Sequence[str] = ()) -> Iterator[RunningNodes]:
    """Real nodes that run for a while: ``version`` and ``node_id`` are required, the rest has defaults."""
    plain = {"cluster_id": "test", "listen": "127.0.0.1:0", "interval": 50}
    started = RunningNodes([{**plain, **node} for node in nodes], within)
    try:
        yield started
    finally:
        started.stop()


PORTS = range(20000, 32000)
"""Below those that Linux gives to sockets that ask for any (``ip_local_port_range``): nobody else takes a free one."""

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_mine = PORTS[_worker::_workers]
"""Tests that run at the same time take none of each other's."""
_untried = iter(random.Random().sample(_mine, len(_mine)))


def free_port(host: str = "127.0.0.1") -> int:
    """A UDP port that nobody uses now, and that was not given before."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as made:
        for port in _untried:
            with suppress(OSError):
                made.bind((host, port))
                return port
    raise AssertionError("all ports are in use")


def eventually(check: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What ``check`` gives as soon as it is true; its last value when that takes too long."""
    deadline = time.monotonic() + seconds
    for pause in itertools.chain((0.01, 0.02, 0.05), itertools.repeat(0.1)):
        value = check()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(pause)
    return None


def unread(address: str) -> int:
    """The bytes that wait in the UDP socket at an IPv4 address with a port, as Linux counts them. On this machine."""
    host, _, port = address.rpartition(":")
    place = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{int(port):04X}"
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        _, local, _, _, queues, *_ = line.split()
        if local == place:
            return int(queues.partition(":")[2], 16)
    raise AssertionError(f"nobody listens at {address}")
