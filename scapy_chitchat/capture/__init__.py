# SPDX-License-Identifier: GPL-2.0-or-later
"""Where messages come from: capture files, and whatever else gives frames.

From bytes to messages, a module a step: sources.py and compression.py open what is to be read; pcap.py and pcapng.py
make frames of it (frames.py); links.py, steps.py and tunnels.py find the IP packets in frames; reassembly.py puts
fragments together; datagrams.py ties these to UDP datagrams; duplicates.py knows what was captured twice; messages.py
makes messages of datagrams; counters.py keeps and tells what was lost on the way. live.py gives frames of an
interface, writing.py writes captures. No Scapy packet is made anywhere.
"""

from scapy_chitchat.capture.counters import Counters, notes
from scapy_chitchat.capture.datagrams import Datagram, DatagramReader
from scapy_chitchat.capture.frame import Frame
from scapy_chitchat.capture.frames import CaptureFile, in_time
from scapy_chitchat.capture.messages import (
    CapturedMessage,
    MessageFilter,
    Unwrap,
    read_datagrams,
    read_messages,
)
from scapy_chitchat.capture.sources import CaptureError, Source, expand

__all__ = [
    "CaptureError",
    "CaptureFile",
    "CapturedMessage",
    "Counters",
    "Datagram",
    "DatagramReader",
    "Frame",
    "MessageFilter",
    "Source",
    "Unwrap",
    "expand",
    "in_time",
    "notes",
    "read_datagrams",
    "read_messages",
]
