# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets to a node, where the system gives ports as unluckily as it can."""

import subprocess
import sys

import pytest

from tests.support.namespaces import namespace

FEW_PORTS = """
import socket
from scapy_chitchat.net.udp import connected_to

open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("40000 40003")
for host in "127.0.0.1", "::1":
    place = socket.getaddrinfo(host, 40002)[0][4]
    naive = 0
    for _ in range(100):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.connect(place)
            naive += made.getsockname() == place
    ours = 0
    for _ in range(100):
        with connected_to(place) as made:
            assert made.getpeername() == place
            ours += made.getsockname() == place
    print(naive > 0, ours)
"""


@pytest.mark.usefixtures("namespaces")
def test_a_socket_is_never_connected_to_itself() -> None:
    with namespace("few-ports") as within:
        done = subprocess.run(
            [*within, sys.executable, "-c", FEW_PORTS], capture_output=True, text=True, check=True, timeout=60
        )
    assert done.stdout == "True 0\nTrue 0\n"
