# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat wireshark``: the dissector, written and installed.

A module a command; files.py has what they share.
"""

from __future__ import annotations

from scapy_chitchat.cli.declaring import Group

GROUP = Group(
    {
        "generate": "Write the dissector from the layers.",
        "install": "Put the dissector where Wireshark loads it from.",
        "uninstall": "Remove the dissector and the colouring rules.",
        "where": "Show which folders Wireshark loads plugins from, and whether the dissector is there.",
    },
    examples=(
        "scapy-chitchat wireshark install",
        "scapy-chitchat wireshark install --colors",
        "scapy-chitchat wireshark where",
        "scapy-chitchat wireshark generate -o chitchat.lua",
        "scapy-chitchat wireshark uninstall",
    ),
)
