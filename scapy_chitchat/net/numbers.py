# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers of the layers below gossip, by which captures, sockets and packets call them."""

from __future__ import annotations

ETHERNET = 1
"""The link type of frames that begin with an Ethernet header (LINKTYPE_ETHERNET)."""

RAW_IP = 101
"""The link type of frames that are IP packets (LINKTYPE_RAW)."""

PROTOCOL_UDP = 17
"""The protocol number of UDP in the header of an IP packet."""
