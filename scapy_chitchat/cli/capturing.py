# SPDX-License-Identifier: GPL-2.0-or-later
"""An interface opened for a command, or what a person can do where that is not allowed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection

from scapy_chitchat.capture import CaptureError
from scapy_chitchat.capture.live import Interface
from scapy_chitchat.cli.common import CommandFailed
from scapy_chitchat.wire.protocol import UDP_PORTS


def open_interface(
    name: str, ports: Collection[int], *, any_port: bool = False, tunnels: bool = False, command: str = "sniff"
) -> Interface:
    """The interface with the datagrams from or to these ports; none named: chitchat's.

    ``command``: which one says what to do. Raises CommandFailed where there is no such interface, or no right to
    capture.
    """
    try:
        return Interface(name, () if any_port else ports or UDP_PORTS, tunnels=tunnels)
    except CaptureError as error:
        raise CommandFailed(str(error)) from None
    except PermissionError:
        raise CommandFailed(f"capturing needs the right to (CAP_NET_RAW): {_remedy(name, command)}") from None


def _remedy(interface: str, command: str) -> str:
    """What a person without the right to capture can do here."""
    tcpdump = shutil.which("tcpdump")
    if tcpdump and _may_capture(tcpdump):
        return f"tcpdump may, so run: tcpdump -i {interface} -w - udp | scapy-chitchat read -"
    if shutil.which("sudo"):
        return f"run it with sudo, as in: sudo {sys.argv[0]} {command} -i {interface}"
    python = os.path.realpath(sys.executable)
    return f"run it as root, or have root give this Python the right: setcap cap_net_raw=ep {python}"


def _may_capture(program: str) -> bool:
    """Whether a program file gives more rights than its user has: as capabilities, or because it is setuid."""
    try:
        return "security.capability" in os.listxattr(program) or bool(os.stat(program).st_mode & 0o4000)
    except OSError:
        return False
