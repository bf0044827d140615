# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat fuzz list``: the strategies."""

from __future__ import annotations

from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.fuzz import STRATEGIES


def print_strategies() -> None:
    """Name, share and description of all strategies."""
    whole = sum(each.share for each in STRATEGIES.values())
    for each in STRATEGIES.values():
        print(f"{each.name:<11} {each.share / whole:4.0%}  {each.text}")


COMMAND = Command(print_strategies, examples=("scapy-chitchat fuzz list",), bare=True)
