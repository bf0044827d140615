# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat sniff -i IFACE``."""

from __future__ import annotations

import typer

from scapy_chitchat.cli import common, options

HELP = """Show the chitchat messages that pass an interface: a line a message.

What goes from or to ports 7280 and 10000 is looked at; --port names others, --any-port looks at all UDP. Fragments are
put together. Stop it with Ctrl-C.

Examples:

  sudo scapy-chitchat sniff -i eth0

  sudo scapy-chitchat sniff -i any --dedup --json --node indexer-0 | jq .delta

  sudo scapy-chitchat sniff -i lo --port 7281 -w gossip.pcapng --seconds 60 --summary --stats
"""

CAPTURE = "Capture"


def add_to(app: typer.Typer) -> None:
    """Make this a command of ``app``."""
    app.command(help=HELP, no_args_is_help=True)(sniff)


def sniff(
    interface: str = typer.Option(..., "-i", "--interface", metavar="IFACE", help="The interface; any for all."),
    write: str = typer.Option(
        "", "-w", "--write", metavar="FILE", help="Keep what was seen as a pcapng file.", rich_help_panel=CAPTURE
    ),
    count: int = typer.Option(
        0, "-c", "--count", metavar="N", min=0, max=common.MOST, help="Stop after N messages.", rich_help_panel=CAPTURE
    ),
    seconds: float = typer.Option(
        0, "--seconds", metavar="S", min=0, max=common.MOST, help="Stop after so many seconds.", rich_help_panel=CAPTURE
    ),
    any_port: bool = typer.Option(
        False, "--any-port", help="Messages on any UDP port, known by their header.", rich_help_panel=CAPTURE
    ),
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
    """Check the options against each other, and sniff."""
    from scapy_chitchat.cli.sniffing import Capture, sniff_interface

    common.check_output(write)
    if any_port and ports:
        raise typer.BadParameter("choose one of --port and --any-port")
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
    raise typer.Exit(sniff_interface(Capture(interface, write, count, seconds, any_port), wish))
