# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes this package a part of Scapy: session, answering machine, extension."""
