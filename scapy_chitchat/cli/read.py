# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat read``: the messages in capture files."""

from __future__ import annotations

from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, complain, hush_scapy, stop_writing
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.options import Files, ReadOptions
from scapy_chitchat.cli.showing import Output, messages_in
from scapy_chitchat.cli.sources import Sources


def read(files: Files, wish: ReadOptions) -> int:
    """Read the files and show what is wanted. Gives the exit code."""
    hush_scapy()
    output = Output(wish)
    sources = Sources(files, output.counters, as_given=wish.as_given, silent=not wish.prints_messages)
    interrupted = False
    try:
        for captured in messages_in(sources.frames(), output, sources.show_progress):
            output.show(captured)
        output.flush()
    except KeyboardInterrupt:
        interrupted = True
        output.flush()
    except BrokenPipeError:
        stop_writing()
        return 0
    output.tables()
    if not output.counts.messages and not interrupted and not sources.failed:
        complain(sources.nothing_found(wish.ports))
    output.notes()
    return INTERRUPTED if interrupted else BAD_INPUT if sources.failed else 0


COMMAND = Command(
    read,
    more="""
FILE is a pcap or pcapng capture, plain or packed (gzip, zstd, xz, lz4); a folder of captures; or - for standard input.
Tunnels are opened and fragments put together, also across files, which are read in the order of their times.
A message is known by its header, on any port.
""",
    examples=(
        "scapy-chitchat read capture.pcap",
        "scapy-chitchat read -v --type SynAck,Ack --node indexer-0 capture.pcap",
        "scapy-chitchat read --json capture.pcapng | jq .delta",
        "scapy-chitchat read --fields frame,time,type,digest.node_id capture.pcap",
        "scapy-chitchat read --summary *.pcap.gz",
        "scapy-chitchat read --dedup captures/",
        "tcpdump -i any -w - udp | scapy-chitchat read -",
    ),
)
