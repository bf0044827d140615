# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat replay``: captured messages sent again."""

from __future__ import annotations

import typer

from scapy_chitchat.cli import common
from scapy_chitchat.cli.options import TypeName

HELP = """Send the messages of captures again: to a node, rewritten so that it takes them, with the capture's timing.

All messages go to the one node, from one socket; its answers are counted, and shown with -v or --json. A message that
nodes refuse is passed on as it is.

A node ignores a delta that starts behind a version that it never had. For a capture that begins in the middle of a
cluster's life, --fill-gaps makes deltas start where the node stands.

Examples:

  scapy-chitchat replay --to 127.0.0.1:7280 --cluster-id laptop capture.pcap

  scapy-chitchat replay --to 127.0.0.1:7280 --speed 10 --map-node indexer-0=a --map-addr 10.0.0.1=127.0.0.2 capture.pcap

  scapy-chitchat replay --to 127.0.0.1:7280 --version 0 --new-generation --fill-gaps capture.pcap

  scapy-chitchat replay -w rewritten.pcapng --cluster-id laptop capture.pcap

  scapy-chitchat replay --as-captured -i lo --loop 0 --rate 1000 capture.pcap
"""

WHERE, WHICH, WHEN, REWRITING, OUTPUT = "Where to", "Which", "When", "Rewriting", "Output"


def add_to(app: typer.Typer) -> None:
    """Make this a command of ``app``."""
    app.command(help=HELP, no_args_is_help=True)(replay)


def replay(
    files: list[str] = typer.Argument(..., metavar="FILE", help="Captures; - for standard input."),
    to: str = typer.Option("", "--to", metavar="HOST:PORT", help="The node.", rich_help_panel=WHERE),
    write: str = typer.Option(
        "", "-w", "--write", metavar="FILE", help="Write a pcapng capture instead of sending.", rich_help_panel=WHERE
    ),
    as_captured: bool = typer.Option(
        False,
        "--as-captured",
        help="Whole packets, from and to the captured addresses.",
        rich_help_panel=WHERE,
    ),
    interface: str = typer.Option(
        "", "-i", "--interface", metavar="IFACE", help="The interface of --as-captured.", rich_help_panel=WHERE
    ),
    allow_remote: bool = typer.Option(
        False, "--allow-remote", help="Let packets leave this machine.", rich_help_panel=WHERE
    ),
    sender: str = typer.Option(
        "",
        "--from",
        metavar="NODE",
        help="Only what this node sent: a node_id, an address, or IP:PORT.",
        rich_help_panel=WHICH,
    ),
    types: list[TypeName] = typer.Option([], "--type", help="Only this type (again for more).", rich_help_panel=WHICH),
    ports: list[int] = typer.Option(
        [], "--port", metavar="PORT", help="Only from or to this UDP port, and all of it.", rich_help_panel=WHICH
    ),
    skip_refused: bool = typer.Option(
        False, "--skip-refused", help="Leave out what nodes refuse.", rich_help_panel=WHICH
    ),
    speed: float = typer.Option(
        1.0,
        "--speed",
        metavar="N",
        min=0.001,
        max=common.MOST,
        help="N times as fast as captured.",
        rich_help_panel=WHEN,
    ),
    rate: float = typer.Option(
        None,
        "--rate",
        metavar="N",
        min=0.001,
        max=common.MOST,
        help="N messages a second, evenly.",
        rich_help_panel=WHEN,
    ),
    asap: bool = typer.Option(False, "--asap", help="As fast as it goes.", rich_help_panel=WHEN),
    loop: int = typer.Option(
        1, "--loop", metavar="N", min=0, max=common.MOST, help="N times over; 0: until stopped.", rich_help_panel=WHEN
    ),
    cluster_id: str = typer.Option(
        None,
        "--cluster-id",
        "--cluster",
        metavar="ID",
        callback=common.cluster_id,
        help="The cluster_id of all Syns.",
        rich_help_panel=REWRITING,
    ),
    map_node: list[str] = typer.Option(
        [], "--map-node", metavar="OLD=NEW", help="Rename a node_id (again for more).", rich_help_panel=REWRITING
    ),
    map_addr: list[str] = typer.Option(
        [],
        "--map-addr",
        metavar="OLD=NEW",
        help="Change a gossip address, IP or IP:PORT, in digests, deltas and packets (again for more).",
        rich_help_panel=REWRITING,
    ),
    new_generation: bool = typer.Option(
        False,
        "--new-generation",
        help="generation_ids as if the nodes were started now; once more with each --loop.",
        rich_help_panel=REWRITING,
    ),
    heartbeat_offset: int = typer.Option(
        0,
        "--heartbeat-offset",
        metavar="N",
        help="Add N to all heartbeats; once more with each --loop.",
        rich_help_panel=REWRITING,
    ),
    version: int = typer.Option(
        None, "--version", metavar="0|1", min=0, max=1, help="Recode to V0 or V1.", rich_help_panel=REWRITING
    ),
    fill_gaps: bool = typer.Option(
        False,
        "--fill-gaps",
        help="Make deltas start where a node that heard all the rest stands.",
        rich_help_panel=REWRITING,
    ),
    verbose: bool = typer.Option(False, "-v", "--verbose", help="A line an answer.", rich_help_panel=OUTPUT),
    json: bool = typer.Option(False, "--json", help="Answers as JSON, an object a line.", rich_help_panel=OUTPUT),
) -> None:
    """Check the options against each other, and replay."""
    from scapy_chitchat.cli.replaying import Wish, replay_files
    from scapy_chitchat.replay.messages import Choice, Pace
    from scapy_chitchat.replay.rewrite import Rewriting, parse_address_mapping, parse_mapping

    if not (to or write or as_captured):
        raise typer.BadParameter("say where to: --to HOST:PORT, -w FILE, or --as-captured -i IFACE")
    if as_captured and (to or write):
        raise typer.BadParameter("--as-captured goes with neither --to nor -w")
    if as_captured != bool(interface):
        raise typer.BadParameter("--as-captured and -i IFACE belong together")
    common.check_output(write)
    if (speed != 1.0) + bool(rate) + asap > 1:
        raise typer.BadParameter("choose one of --speed, --rate and --asap")
    if write and not loop:
        raise typer.BadParameter("-w with --loop 0 would never end")
    try:
        rewriting = Rewriting(
            cluster_id=cluster_id,
            nodes=parse_mapping(map_node),
            addresses=parse_address_mapping(map_addr),
            new_generation=new_generation,
            heartbeat_offset=heartbeat_offset,
            version=version,
            fill_gaps=fill_gaps,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    wish = Wish(
        to=to,
        write=write,
        interface=interface,
        allow_remote=allow_remote,
        choice=Choice(frozenset(kind.value for kind in types), sender),
        ports=tuple(ports),
        skip_refused=skip_refused,
        pace=Pace(speed=speed, rate=rate, asap=asap),
        passes=loop,
        rewriting=rewriting,
        verbose=verbose,
        json=json,
    )
    raise typer.Exit(replay_files(files, wish))
