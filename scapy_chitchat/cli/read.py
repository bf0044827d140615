# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat read``: the messages in capture files.

What reads messages is imported when messages are read: help and completion of this command do not wait for Scapy.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from scapy_chitchat.cli.common import BAD_INPUT, INTERRUPTED, complain, hush_scapy, stop_writing
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.options import Files, ReadOptions

if TYPE_CHECKING:
    from scapy_chitchat.cli.showing import Output
    from scapy_chitchat.cli.sources import Sources


def read(files: Files, wish: ReadOptions) -> int:
    """Read the files and show what is wanted. Gives the exit code."""
    from scapy_chitchat.cli.showing import Output
    from scapy_chitchat.cli.sources import Sources

    hush_scapy()
    output = Output(wish)
    sources = Sources(files, output.counters, as_given=wish.as_given, silent=not wish.prints_messages)
    interrupted = False
    try:
        _show(sources, output, wish)
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


def _show(sources: Sources, output: Output, wish: ReadOptions) -> None:
    """Show what passes the filters, and write its frames."""
    from scapy_chitchat.capture.writing import CaptureWriter
    from scapy_chitchat.cli.showing import messages_in

    with ExitStack() as opened:
        keep = opened.enter_context(CaptureWriter(sources.not_among(wish.write))) if wish.write else None
        messages = messages_in(
            sources.frames(), output, sources.show_progress, period=wish, keep_frames=keep is not None
        )
        for shown, captured in enumerate(messages, start=1):
            output.show(captured)
            if keep:
                for frame in captured.datagram.frames:
                    keep.frame(frame)
            if shown == wish.count:
                break
    output.flush()


COMMAND = Command(
    read,
    more="""
FILE is a pcap or pcapng capture, plain or packed (gzip, zstd, xz, lz4); a folder of captures; or - for standard input.
Tunnels are opened and fragments put together. Several files are read as one, frame by frame in the order of time.
A message is known by its header, on any port. -w keeps the frames of the messages that pass, as they were captured.
""",
    examples=(
        "scapy-chitchat read capture.pcap",
        "scapy-chitchat read -v --type SynAck,Ack --node indexer-0 capture.pcap",
        "scapy-chitchat read --json capture.pcapng | jq .delta",
        "scapy-chitchat read --fields frame,time,type,digest.node_id capture.pcap",
        "scapy-chitchat read --since +10 --until +12.5 --from indexer-0 --to '10.0.0.*' -w part.pcapng capture.pcap",
        "scapy-chitchat read --rows --fields time,delta.key,delta.value --status Delete capture.pcap",
        "scapy-chitchat read --summary *.pcap.gz",
        "scapy-chitchat read --dedup captures/",
        "tcpdump -i any -w - udp | scapy-chitchat read -",
    ),
)
