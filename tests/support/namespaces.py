# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces for tests and recipes: networks of our own that touch no other, and are gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

MTU = 1500


class NoNamespaces(Exception):
    """Namespaces cannot be made here, and why."""


NOT_IN_KERNEL = "this machine's kernel makes no"
"""How it is said that the kernel itself lacks what a test needs: nothing that is installed would help."""


@cache
def check_namespaces() -> None:
    """Raises NoNamespaces where none can be made."""
    if os.geteuid() != 0:
        raise NoNamespaces("making network namespaces needs root")
    if not shutil.which("ip"):
        raise NoNamespaces("there is no ip command (iproute2)")
    name = f"chitchat-{os.getpid()}-trial"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"network namespaces cannot be made: {done.stderr.strip()}")
    _ip("netns", "del", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def namespace(label: str = "test") -> Iterator[list[str]]:
    """A namespace with a loopback of MTU 1500. Gives what to put before a command to run it there."""
    check_namespaces()
    name = f"chitchat-{os.getpid()}-{label}"
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up", "mtu", str(MTU))
        yield ["ip", "netns", "exec", name]
    finally:
        _ip("netns", "del", name)


TUNNEL = "inner"
"""The name of the tunnel's device at either end of a link."""
TUNNEL_MTU = 1450
NETWORK = "5001"
DEVICES = {
    "vxlan": ("vxlan", "id", NETWORK, "dstport", "4789"),
    "geneve": ("geneve", "id", NETWORK),
}
"""Kinds of tunnels, as ip link makes their devices."""


def add_tunnel(ends: Sequence[list[str]], kind: str, outer: Sequence[str], inner: Sequence[Sequence[str]]) -> None:
    """A tunnel over a link, whose ends have the addresses ``outer``; its devices have those of ``inner``, as /24.

    Raises NoNamespaces where this machine's kernel has no such tunnels.
    """
    for within, there, addresses in zip(ends, reversed(outer), inner, strict=True):
        name = within[-1]
        command = ["ip", "-n", name, "link", "add", TUNNEL, "type", *DEVICES[kind], "remote", there]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoNamespaces(f"{NOT_IN_KERNEL} {kind} device: {done.stderr.strip()}")
        for address in addresses:
            _ip("-n", name, "address", "add", address, "dev", TUNNEL)
        _ip("-n", name, "link", "set", TUNNEL, "up", "mtu", str(TUNNEL_MTU))


VETH = "gossip"
"""The name of the interface at either end of a link."""


@contextmanager
def linked(*ends: Sequence[str]) -> Iterator[list[list[str]]]:
    """Two namespaces joined by a veth pair; each end has these addresses, as 10.77.0.1/24. Gives both as above."""
    with ExitStack() as made:
        inside = [made.enter_context(namespace(label)) for label in ("a", "b")]
        names = [within[-1] for within in inside]
        _ip("link", "add", VETH, "netns", names[0], "type", "veth", "peer", "name", VETH, "netns", names[1])
        for name, addresses in zip(names, ends, strict=True):
            for address in addresses:
                _ip("-n", name, "address", "add", address, "dev", VETH)
            _ip("-n", name, "link", "set", VETH, "up", "mtu", str(MTU))
        yield inside
