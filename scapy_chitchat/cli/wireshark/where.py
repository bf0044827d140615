# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat wireshark where``: the folders, and what is in them."""

from __future__ import annotations

from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.wireshark import install as setup


def where() -> None:
    """Show which folders Wireshark loads plugins from, and whether the dissector is there."""
    found = setup.folders()
    print("as tshark says" if found.asked else "no tshark on PATH; by the rule of this platform")
    for title, folder in (("personal", found.personal), ("global", found.everyone)):
        if folder is not None:
            target = folder / setup.FILE_NAME
            state = "not installed" if not target.exists() else "installed" if setup.is_ours(target) else "not ours"
            print(f"{title:9} {target} ({state})")


COMMAND = Command(where, examples=("scapy-chitchat wireshark where",), bare=True)
