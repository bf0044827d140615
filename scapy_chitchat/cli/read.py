# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat read``: the messages in capture files."""

from __future__ import annotations

import typer

from scapy_chitchat.cli import options

HELP = """Show the chitchat messages in capture files: a line a message.

FILE is a pcap or pcapng capture, gzip-compressed or not, of any link type that Scapy knows; - is standard input.
Fragments are put together. A message is known by its header, on any port.

Examples:

  scapy-chitchat read capture.pcap

  scapy-chitchat read -v --type SynAck --node indexer-0 capture.pcap

  scapy-chitchat read --json capture.pcapng | jq .delta

  scapy-chitchat read --fields frame,time,type,digest.node_id capture.pcap

  scapy-chitchat read --summary *.pcap.gz

  tcpdump -i any -w - udp | scapy-chitchat read -
"""


def add_to(app: typer.Typer) -> None:
    """Make this a command of ``app``."""
    app.command(help=HELP, no_args_is_help=True)(read)


def read(
    files: list[str] = typer.Argument(..., metavar="FILE", help="Captures; - for standard input."),
    verbose: bool = options.VERBOSE,
    json: bool = options.JSON,
    fields: str = options.FIELDS,
    summary: bool = options.SUMMARY,
    stats: bool = options.STATS,
    findings: bool = options.FINDINGS,
    ports: list[int] = options.PORTS,
    types: list[options.TypeName] = options.TYPES,
    node: str = options.NODE,
    key: str = options.KEY,
    cluster: str = options.CLUSTER,
    dedup: bool = options.DEDUP,
    limit: int = options.LIMIT,
) -> None:
    """Check the options against each other, and read."""
    from scapy_chitchat.cli.reading import read_files

    wish = options.wish_of(
        verbose=verbose,
        json=json,
        fields=fields,
        summary=summary,
        stats=stats,
        findings=findings,
        ports=ports,
        types=types,
        node=node,
        key=key,
        cluster=cluster,
        dedup=dedup,
        limit=limit,
    )
    raise typer.Exit(read_files(files, wish))
