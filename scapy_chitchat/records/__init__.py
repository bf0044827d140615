# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages as plain records: what a node would read, fast, with a verdict and what is to be said of them."""

from scapy_chitchat.records.checks import Finding, findings
from scapy_chitchat.records.codec import DecodeError, Message, decode, encode

__all__ = ["DecodeError", "Finding", "Message", "decode", "encode", "findings"]
