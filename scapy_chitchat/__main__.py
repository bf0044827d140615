# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m scapy_chitchat``: the command line."""

from scapy_chitchat.cli import main

main()
