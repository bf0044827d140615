# SPDX-License-Identifier: GPL-2.0-or-later
"""Over which UDP ports Scapy takes a datagram for a chitchat message; importing this binds the usual ones.

Apart from layers.py, since Scapy's UDP comes with most of Scapy: who reads messages without it need not wait for that.
"""

from __future__ import annotations

from scapy.layers.inet import UDP
from scapy.packet import bind_bottom_up, bind_layers

from scapy_chitchat.wire.layers import Chitchat
from scapy_chitchat.wire.protocol import UDP_PORTS


def bind(*ports: int) -> None:
    """Have Scapy dissect UDP datagrams from or to these ports as chitchat messages. Raises ValueError for no port."""
    for port in ports:
        if port not in range(1, 65536):
            raise ValueError(f"{port!r} is no UDP port")
        bind_bottom_up(UDP, Chitchat, sport=port)
        bind_bottom_up(UDP, Chitchat, dport=port)


bind(*UDP_PORTS)
bind_layers(UDP, Chitchat, sport=UDP_PORTS[0], dport=UDP_PORTS[0])
