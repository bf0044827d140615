# SPDX-License-Identifier: GPL-2.0-or-later
"""What is below every message: addresses and their text, IP packets, UDP sockets, targets, printable text. No Scapy."""
