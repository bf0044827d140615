# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat read``: the messages in capture files."""

from __future__ import annotations

from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, complain, hush_scapy, stop_writing
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.options import Files, MessageOptions
from scapy_chitchat.cli.showing import Output, messages_in
from scapy_chitchat.cli.sources import Sources


def read(files: Files, wish: MessageOptions) -> int:
    """Read the files and show what is wanted. Gives the exit code."""
    hush_scapy()
    output = Output(wish)
    sources = Sources(files, output.counters, silent=not wish.prints_messages)
    interrupted = False
    try:
        for captured in sources.each(lambda frames, tick: messages_in(frames, output, tick)):
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
    return INTERRUPTED if interrupted else BAD_INPUT if sources.failed else 0


COMMAND = Command(
    read,
    more="""
FILE is a pcap or pcapng capture, gzip-compressed or not, of any link type that Scapy knows; - is standard input.
Fragments are put together. A message is known by its header, on any port.
""",
    examples=(
        "scapy-chitchat read capture.pcap",
        "scapy-chitchat read -v --type SynAck,Ack --node indexer-0 capture.pcap",
        "scapy-chitchat read --json capture.pcapng | jq .delta",
        "scapy-chitchat read --fields frame,time,type,digest.node_id capture.pcap",
        "scapy-chitchat read --summary *.pcap.gz",
        "tcpdump -i any -w - udp | scapy-chitchat read -",
    ),
)
